"""The image of this tree, built without a registry: `python -m tests.cluster.image [TAG]` prints its archive's path.
With `--out FOLDER` the archive and the inventories of what is in the image are written there.

The base that the Dockerfile names is made from Debian's packages, under that very name. Images are kept outside the
tree as archives that containerd and podman load, one for each content of the tree: nothing is built twice. It takes
root, and the packages buildah and mmdebstrap.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.kube.assets import alone, cache_folder

TREE = Path(__file__).parent.parent.parent
NAME = "localhost/felix-py"
KEPT_ARCHIVES, KEPT_LAYERS = 6, 200
_BASE_PACKAGES = ("python3", "python3-venv", "ca-certificates")
_LEFT_OUT = ("doc", "info", "locale", "man")
_OF_THE_HOST = ("/etc/ssl/certs", "/etc/pip.conf")
"""What pip needs in a step of the build to reach its index as it does on this machine, where it is there."""


class ImageError(Exception):
    """The image could not be built; the message has what the tool said."""


def archive(tag: str = "dev", version: str = "") -> Path:
    """Return a docker-archive of this tree's image, named `localhost/felix-py:TAG`; build it if it is not there.

    version: a label, by which two images of one tree differ, as for an upgrade. Raises ImageError.
    """
    place = cache_folder() / "images"
    place.mkdir(parents=True, exist_ok=True)
    with alone(place):
        while not (archived := place / f"{(before := _fingerprint(tag, version))}.tar").exists():
            _build(f"{NAME}:{tag}", version, fresh := place / "fresh.part")
            if _fingerprint(tag, version) == before:  # else the tree was edited meanwhile
                fresh.rename(archived)
        os.utime(archived)
        for old in sorted(place.glob("*.tar"), key=lambda one: one.stat().st_mtime)[:-KEPT_ARCHIVES]:
            old.unlink()
    return archived


def write_inventories(archived: Path, folder: Path) -> None:
    """Write what packages of Python and of Debian are in an image, as CycloneDX. Raises ImageError."""
    with alone(archived.parent):
        loaded = _run("buildah", *storage(), "pull", "--quiet", f"docker-archive:{archived}").split()[-1]
        _run(
            *("buildah", *storage(), "bud", "--pull-never", *_building(), "--quiet", f"--build-arg=IMAGE={loaded}"),
            *(f"--output=type=local,dest={folder}", str(TREE / "packaging" / "sbom")),
        )


def context_files(tree: Path = TREE) -> Iterator[Path]:
    """Yield the files that the image is made from, as .dockerignore lets them through."""
    yield tree / "Dockerfile"
    yield tree / ".dockerignore"
    for line in (tree / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            place = tree / line[1:]
            files = sorted(place.rglob("*")) if place.is_dir() else [place]
            yield from (path for path in files if path.is_file() and "__pycache__" not in path.parts)


def _fingerprint(*more: str) -> str:
    digest = hashlib.sha256(repr((more, _BASE_PACKAGES, _LEFT_OUT)).encode())
    for path in context_files():
        content = path.read_bytes()
        digest.update(f"{path.relative_to(TREE)} {path.stat().st_mode:o} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def _build(name: str, version: str, archived: Path) -> None:
    for tool in ("buildah", "mmdebstrap"):
        if shutil.which(tool) is None:
            raise ImageError(f"build {name}: there is no {tool}; install it with: apt install {tool}")
    for base in sorted(set(re.findall(r"^FROM (\S+/\S+)", (TREE / "Dockerfile").read_text(), re.MULTILINE))):
        _make_base(base)
    _say(f"building {name} (about half a minute; the first one some minutes)")
    _run(
        *("buildah", *storage(), "bud", "--pull-never", "--layers", *_building()),
        *(f"--label=version={version}", f"--tag={name}", "--quiet", str(TREE)),
    )
    archived.unlink(missing_ok=True)
    _run("buildah", *storage(), "push", "--quiet", name, f"docker-archive:{archived}:{name}")
    forget_layers(KEPT_LAYERS)


def _make_base(base: str) -> None:
    """Have an image of this name in our storage, unless there is one."""
    buildah = ("buildah", *storage())
    there = subprocess.run((*buildah, "inspect", "--type=image", base), capture_output=True, check=False)
    if there.returncode == 0:
        return
    _say(f"making {base} from Debian's packages (about a minute, once)")
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        files = Path(folder) / "base.tar"
        _run(
            *("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(_BASE_PACKAGES)}"),
            "--dpkgopt=force-unsafe-io",
            *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT),
            *('--customize-hook=ln -s python3 "$1/usr/bin/python"', "bookworm", str(files)),
        )
        container = _run(*buildah, "from", "scratch").strip()
        _run(*buildah, "add", "--quiet", container, str(files), "/")
        _run(*buildah, "config", '--cmd=["python3"]', container)
        _run(*buildah, "commit", "--quiet", "--rm", container, base)


def storage() -> tuple[str, ...]:
    """Return the options by which buildah leaves the machine's own images alone."""
    return (f"--root={cache_folder() / 'storage'}", f"--runroot={cache_folder() / 'storage-run'}")


def forget_layers(kept: int) -> None:
    """Once there are more layers than these, forget those that no image with a name has, what is cached among them."""
    if len(_run("buildah", *storage(), "images", "--all", "--quiet").split()) > kept:
        _run("buildah", *storage(), "rmi", "--prune")


def _building() -> tuple[str, ...]:
    """Return the options by which the steps of a build need no container runtime and reach what this machine does."""
    mounts = (f"--volume={path}:{path}:ro" for path in _OF_THE_HOST if Path(path).exists())
    return ("--isolation=chroot", "--network=host", *mounts)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-4000:]
        raise ImageError(f"{' '.join(command)}: ended with {done.returncode}: {said}")
    return done.stdout


def _say(text: str) -> None:
    print(f"image: {text}", file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.image")
    parser.add_argument("tag", nargs="?", default="dev")
    parser.add_argument("--out", type=Path, help="a folder for the archive and its inventories")
    options = parser.parse_args(arguments)
    try:
        archived = archive(options.tag)
        if options.out is not None:
            options.out.mkdir(parents=True, exist_ok=True)
            write_inventories(archived, options.out)
            archived = Path(shutil.copy(archived, options.out / "felix-py.tar"))
        print(archived)
    except ImageError as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
