"""`felix-install`, the program of the init container: puts the shim where the host's container runtime runs plugins.

With `--shared-folder FOLDER --group ID` it then lets a group into a folder of the host's (cni/shared_folder.py).

An edge. The shim is written beside its place and renamed: a runtime that starts pods meanwhile runs the old one or
the new one. What was at its place, an old shim, another program or a symbolic link, is replaced; all else stays.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cni.configurations import BINARY
from cni.files import replace
from cni.shared_folder import share

SHIM = Path(sys.prefix, "libexec", "felix-cni")
"""Where the image has it, beside the programs of its virtual environment."""
SETTING, USUAL_FOLDER = "FELIX_CNIBINDIR", "/opt/cni/bin"
MODE = 0o755
ANSWER_SECONDS = 10.0

_CURES = {
    errno.EROFS: f"where the host has its plugins elsewhere, mount that folder here and name it by {SETTING}",
    errno.ENOSPC: "make room on the host's disk",
    errno.EACCES: "the folder's owner is another user: this container needs the capability DAC_OVERRIDE",
    errno.EPERM: "if the file is immutable: chattr -i on the host",
    errno.EISDIR: "a folder has the name of our plugin: remove it on the host",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Install the shim, and share a folder if asked to; return the process's exit code: 0 it is done, 1 it is not."""
    options = _options(arguments)
    if (ended := _install()) or options.shared_folder is None:
        return ended
    try:
        share(options.shared_folder, options.group)
    except OSError as error:
        print(f"let the group {options.group} into {options.shared_folder}: {error}", file=sys.stderr)
        return 1
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="felix-install", description="Put felix-py's plugin onto a host.")
    parser.add_argument("--shared-folder", type=Path, metavar="FOLDER", help="a folder to let a group into")
    parser.add_argument("--group", type=int, metavar="ID", help="that group; its folder's owner is in it")
    options = parser.parse_args(arguments)
    if (options.shared_folder is None) != (options.group is None):
        parser.error("--shared-folder and --group go together")
    return options


def _install() -> int:
    folder = Path(os.environ.get(SETTING, "").strip() or USUAL_FOLDER)
    place = folder / BINARY
    try:
        if not folder.is_dir():
            raise RuntimeError(f"this container has no folder {folder}; mount the host's there")
        _try_out(SHIM)
        written = install_shim(SHIM, folder)
    except (OSError, RuntimeError) as error:
        cure = _CURES.get(error.errno or 0) if isinstance(error, OSError) else None
        reason = f"{error}; {cure}" if cure else str(error)
        print(f"put the shim at {place}: {reason}; what was there is unchanged", file=sys.stderr)
        return 1
    print(f"put the shim at {place}: {'done' if written else 'it was there already'}")
    return 0


def install_shim(source: Path, folder: Path) -> bool:
    """Put the executable into the runtime's folder; return whether it was not there yet.

    Two at a time take turns: pods of two versions overlap on a node that is upgraded. Raises OSError.
    """
    place, content = folder / BINARY, source.read_bytes()
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        for left in folder.glob(f".{BINARY}.*"):  # by one that was killed while it wrote
            left.unlink()
        if _is_there(place, content):
            return False
        replace(place, content, MODE)
        return True


def _is_there(place: Path, content: bytes) -> bool:
    return (
        place.is_file()
        and not place.is_symlink()
        and place.stat().st_mode & 0o7777 == MODE
        and place.read_bytes() == content
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _try_out(shim: Path) -> None:
    """Have the shim answer once. Raises RuntimeError: it does not run here, as in an image of another processor."""
    try:
        ended = subprocess.run(
            [shim],
            env={"CNI_COMMAND": "VERSION"},
            input=b"{}",
            capture_output=True,
            timeout=ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"{shim} of this image does not run on {os.uname().machine}: {error}") from None
    if ended.returncode or not ended.stdout:
        raise RuntimeError(f"{shim} of this image ends with {ended.returncode} and says {ended.stdout[:200]!r}")


if __name__ == "__main__":
    sys.exit(main())
