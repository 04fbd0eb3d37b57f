"""The sysctls of the network namespace that this thread is in. Edge.

A container's /proc/sys is read-only, so they may be written through another mount of the same folder: that shows each
thread the sysctls of the namespace that the thread is in, too.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

from kernel.message import explain
from kernel.netlink import KernelError

PROC_SYS: Final = Path("/proc/sys")

_CURES = {
    errno.EROFS: "{root} is mounted read-only here",
    errno.EACCES: "it takes root, or CAP_NET_ADMIN where the namespace is owned",
    errno.EPERM: "it takes CAP_NET_ADMIN",
}


def write_sysctls(values: Mapping[str, str], *, optional: Collection[str] = (), root: Path = PROC_SYS) -> None:
    """Write sysctls of the namespace this thread is in. A value that is there already is not written again.

    optional: endings of paths that may fail, such as `proxy_delay`. root: where `net` is found for writing. Raises
    KernelError: another one failed, and has not this value either.
    """
    for path, value in values.items():
        try:
            _write_sysctl(root, path, value)
        except OSError as failed:
            code = failed.errno or 0
            if path.endswith(tuple(optional)) or (code in _CURES and read_sysctls([path]) == {path: value}):
                continue
            cure = f": {_CURES[code].format(root=root)}" if code in _CURES else ""
            raise KernelError(f"set sysctl {path} to {value}: {explain(code)}{cure}", code) from None


def _write_sysctl(root: Path, path: str, value: str) -> None:
    descriptor = os.open(f"{root}/{path}", os.O_RDWR | os.O_CLOEXEC)
    try:
        if os.read(descriptor, 64).strip() != value.encode():
            os.pwrite(descriptor, value.encode(), 0)
    finally:
        os.close(descriptor)


def read_sysctls(paths: Iterable[str]) -> dict[str, str]:
    """Return the sysctls of the namespace this thread is in; one that does not exist is left out."""
    found = {}
    for path in paths:
        try:
            with open(f"{PROC_SYS}/{path}", encoding="ascii") as file:
                found[path] = file.read().strip()
        except OSError:
            continue
    return found
