"""The image has the programs, runs them as nobody in particular, and has nothing to install more with."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import image
from tests.layout.tree import PACKAGES


@pytest.fixture(scope="module")
def archived() -> Path:
    return image.archive()


@pytest.fixture(scope="module")
def root(archived: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The image's files, unpacked."""
    folder, layers = tmp_path_factory.mktemp("image"), tmp_path_factory.mktemp("layers")
    subprocess.run(("tar", "--extract", "--directory", layers, "--file", archived), check=True)
    (described,) = json.loads((layers / "manifest.json").read_text())
    for layer in described["Layers"]:
        subprocess.run(("tar", "--extract", "--directory", folder, "--file", layers / layer), check=True)
    folder.chmod(0o755)  # whoever runs in it
    yield folder
    subprocess.run(("rm", "-rf", folder, layers), check=True)


def configuration(archived: Path) -> dict[str, object]:
    with tarfile.open(archived) as archive:
        (described,) = json.load(archive.extractfile("manifest.json") or pytest.fail("no manifest"))
        config = json.load(archive.extractfile(described["Config"]) or pytest.fail("no configuration"))["config"]
        return {"names": described["RepoTags"], **config}


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the image's files for its own, as the image's user and with nothing else."""
    chroot = ("/usr/sbin/chroot", "--userspec=65532:65532", str(root))
    return subprocess.run((*chroot, *command), env={"PATH": "/opt/felix/bin:/usr/bin"}, capture_output=True, text=True)


def test_every_package_of_the_tree_comes_into_the_image() -> None:
    shipped = {path.relative_to(image.TREE).parts[0] for path in image.context_files()}
    assert set(PACKAGES) <= shipped
    assert not {"tests", "bench", "docs"} & shipped


def test_what_changes_the_image_changes_its_archive(tmp_path: Path) -> None:
    files = [path.relative_to(image.TREE).as_posix() for path in image.context_files()]
    assert {"Dockerfile", "constraints.txt", "cni/shim.c", "felix_py/__main__.py"} <= set(files)
    assert not [name for name in files if name.endswith(".pyc")]


def test_an_archive_of_unchanged_sources_is_not_built_again(archived: Path) -> None:
    before = archived.stat().st_ino
    assert image.archive().stat().st_ino == before


def test_layers_of_earlier_builds_are_forgotten_once_they_are_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "Dockerfile").write_text("FROM scratch AS build\nCOPY a /a\nFROM scratch\nCOPY --from=build /a /b\n")

    def layers() -> int:
        return len(buildah("images", "--all", "--quiet").split())

    def buildah(*arguments: str) -> str:
        return subprocess.check_output(("buildah", *image.storage(), *arguments), text=True)

    for content in "12":
        (tmp_path / "a").write_text(content)
        buildah("bud", "--layers", "--quiet", "--tag=localhost/small", str(tmp_path))
    before = layers()
    image.forget_layers(before)
    assert layers() == before
    image.forget_layers(before - 1)
    assert layers() == 1


def test_the_image_has_its_name_its_user_and_no_shell_around_the_program(archived: Path) -> None:
    found = configuration(archived)
    assert found["names"] == ["localhost/felix-py:dev"]
    assert found["User"] == "65532:65532"
    assert found["Cmd"] == ["felix-agent"]


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("felix-agent", "the agent ends"),
        ("felix-controller", "controller"),
        ("felix-install", "--shared-folder"),
        ("felix-sidecar", "--state-dir"),
        ("felixctl", "Usage: felixctl"),
    ],
)
def test_each_program_is_on_the_path_and_loads_what_it_needs(root: Path, program: str, says: str) -> None:
    ended = run(root, program, "--help")
    assert says in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_interpreter_of_the_sidecar_alone_may_have_a_low_port(archived: Path) -> None:
    with tarfile.open(archived) as archive:
        (described,) = json.load(archive.extractfile("manifest.json") or pytest.fail("no manifest"))
        capable = []
        for layer in described["Layers"]:
            with tarfile.open(fileobj=archive.extractfile(layer)) as files:
                capable += [one.name for one in files if "SCHILY.xattr.security.capability" in one.pax_headers]
    assert capable == ["opt/felix/bin/python-bgp"]


def test_the_kubernetes_client_loads_without_its_asynchronous_twin(root: Path) -> None:
    ended = run(root, "/opt/felix/bin/python", "-c", "import kubernetes, datastore.kube.access, felix_py.process")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_shim_runs_wherever_it_is_put(root: Path) -> None:
    shim = root / "opt/felix/libexec/felix-cni"
    ended = subprocess.run([shim], env={"CNI_COMMAND": "VERSION"}, input=b"{}", capture_output=True)
    assert json.loads(ended.stdout)["supportedVersions"]


def test_our_packages_are_ours_alone(root: Path) -> None:
    code = "import importlib.metadata as m, json; print(json.dumps(m.packages_distributions()))"
    owners = json.loads(run(root, "/opt/felix/bin/python", "-c", code).stdout)
    assert {package: owners[package] for package in PACKAGES} == {package: ["felix-py"] for package in PACKAGES}


def test_the_environment_has_neither_an_installer_nor_a_compiler_nor_tests(root: Path) -> None:
    site = root / "opt/felix/lib/python3.11/site-packages"
    assert not {"pip", "setuptools", "wheel", "pytest", "tests", "bench", "aiohttp"} & {
        one.name for one in site.iterdir()
    }
    assert not (root / "usr/bin/gcc").exists()
    assert all(
        one.name.startswith(("felix", "python", "activate", "Activate")) for one in (root / "opt/felix/bin").iterdir()
    )


def test_a_start_compiles_nothing(root: Path) -> None:
    """Bytecode stands beside every file of ours, and is not compared with it."""
    for source in (root / "opt/felix/lib/python3.11/site-packages/felix_py").rglob("*.py"):
        compiled = source.parent / "__pycache__" / f"{source.stem}.cpython-311.pyc"
        assert compiled.read_bytes()[4:8] == b"\x01\0\0\0", compiled  # PEP 552: by hash, not checked


@pytest.mark.long
def test_the_inventories_name_every_package_of_the_image(archived: Path, root: Path, tmp_path: Path) -> None:
    image.write_inventories(archived, tmp_path)
    listed = {kind: names(tmp_path / f"felix-py.{kind}.cdx.json") for kind in ("python", "debian")}
    site = root / "opt/felix/lib/python3.11/site-packages"
    assert listed["python"] == {canonical(one.name.partition("-")[0]) for one in site.glob("*.dist-info")}
    status = (root / "var/lib/dpkg/status").read_text()
    installed = {canonical(name) for name in re.findall(r"^Package: (.*)$", status, re.MULTILINE)}
    assert installed <= listed["debian"]


def names(inventory: Path) -> set[str]:
    return {canonical(one["name"]) for one in json.loads(inventory.read_text())["components"]}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
