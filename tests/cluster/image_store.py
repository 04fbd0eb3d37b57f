"""Images as containerd keeps them, unpacked once for all nodes: importing ours costs a node some twenty seconds of CPU.

A store is a /var/lib/containerd in the cache outside the tree, one for each list of archives. Nodes get it by hard
links: blobs and unpacked layers are never written again. Only databases are copied.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.kube.assets import alone, cache_folder, program
from tests.runtimes import image
from tests.runtimes.image import BUSYBOX, IMAGE, PAUSE, write_archive
from tests.runtimes.machine import DIES_WITH_US, eventually

KEPT_STORES = 5
_CONFIGURATION = """version = 3
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]
"""


def prepare(archives: Sequence[Path]) -> Path:
    """Return a store of the bed's own images and of these archives. The path of an archive stands for its content."""
    stores = cache_folder() / "image-stores"
    stores.mkdir(parents=True, exist_ok=True)
    with alone(stores):
        store = _prepared(stores, archives)
        kept = sorted((one for one in stores.iterdir() if one.is_dir()), key=lambda one: one.stat().st_mtime)
        for old in kept[:-KEPT_STORES]:
            shutil.rmtree(old)
    return store


def _prepared(stores: Path, archives: Sequence[Path]) -> Path:
    """Return a store, made from the one without the last archive, which of another version of an image has most."""
    store = stores / _fingerprint(archives)
    if not store.exists():
        with tempfile.TemporaryDirectory(dir=stores) as fresh:
            root = Path(fresh) / "root"
            if archives:
                copy(_prepared(stores, archives[:-1]), root)
                _import(archives[-1], Path(fresh))
            else:
                write_archive(bed := Path(fresh) / "bed.tar", IMAGE, PAUSE)
                _import(bed, Path(fresh))
            root.rename(store)
    os.utime(store)
    return store


def copy(store: Path, place: Path) -> None:
    """Make `place` a /var/lib/containerd with the images of a store."""
    linked = subprocess.run(["cp", "--archive", "--link", str(store), str(place)], capture_output=True, check=False)
    if linked.returncode:  # on another file system
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run(["cp", "--archive", str(store), str(place)], check=True)
    for database in place.glob("*/*.db"):
        content = database.read_bytes()
        database.unlink()
        database.write_bytes(content)


def _fingerprint(archives: Sequence[Path]) -> str:
    digest = hashlib.sha256(repr([str(archive) for archive in archives]).encode())
    for file in (BUSYBOX, Path(__file__), Path(image.__file__)):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _import(archive: Path, folder: Path) -> None:
    """Have a containerd of its own import it into folder/root."""
    (folder / "config.toml").write_text(_CONFIGURATION)
    socket = folder / "socket"
    places = ("--root", str(folder / "root"), "--state", str(folder / "state"), "--address", str(socket))
    command = [*DIES_WITH_US, "unshare", "--mount", "--", str(program("containerd")), "--config"]
    with (folder / "log").open("wb") as log:
        runtime = subprocess.Popen([*command, str(folder / "config.toml"), *places], stdout=log, stderr=log)
    try:
        eventually(f"containerd starts: {(folder / 'log').read_text()}", socket.is_socket)
        importing = [str(program("ctr")), "--address", str(socket), "--namespace", "k8s.io", "images", "import"]
        subprocess.run([*importing, str(archive)], check=True, capture_output=True)
    finally:
        runtime.terminate()
        runtime.wait()
