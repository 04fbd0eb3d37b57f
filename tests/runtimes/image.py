"""A container image from Debian's static busybox, made without a registry."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
IMAGE, PAUSE = "docker.io/local/busybox:1", "docker.io/local/pause:1"
FOLDERS = "bin dev etc proc run sys tmp root var".split()  # noqa: SIM905
SEARCH_PATH = "PATH=/bin"
FOR_EVER = ("/bin/sleep", "2147483647")


def write_archive(place: Path, *names: str) -> None:
    """Write a docker-archive of one layer, whose image has these names."""
    layer = _layer()
    configuration = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": FOR_EVER, "Env": [SEARCH_PATH], "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    ).encode()
    name = f"{hashlib.sha256(configuration).hexdigest()}.json"
    manifest = json.dumps([{"Config": name, "RepoTags": names, "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(place, "w") as archive:
        for path, content in ((name, configuration), ("layer.tar", layer), ("manifest.json", manifest)):
            _add(archive, path, content)


def _layer() -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as files:
        for folder in FOLDERS:
            _add(files, folder, kind=tarfile.DIRTYPE)
        _add(files, "bin/busybox", BUSYBOX.read_bytes())
        for applet in subprocess.check_output([BUSYBOX, "--list"], text=True).split():
            if applet != "busybox":
                _add(files, f"bin/{applet}", kind=tarfile.SYMTYPE, target="busybox")
        _add(files, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
    return held.getvalue()


def _add(
    archive: tarfile.TarFile, path: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = ""
) -> None:
    member = tarfile.TarInfo(path)
    member.mode, member.type, member.linkname, member.size = 0o755, kind, target, len(content)
    archive.addfile(member, io.BytesIO(content))
