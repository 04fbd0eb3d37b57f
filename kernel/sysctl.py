"""The sysctls of the network namespace that this thread is in. Edge."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping

from kernel.message import explain
from kernel.netlink import KernelError


def write_sysctls(values: Mapping[str, str], *, optional: Collection[str] = ()) -> None:
    """Write sysctls of the namespace this thread is in. A value that is there already is not written again.

    optional: endings of paths that may fail, such as `proxy_delay`. Raises KernelError: another one failed.
    """
    for path, value in values.items():
        try:
            _write_sysctl(path, value)
        except OSError as failed:
            if not path.endswith(tuple(optional)):
                code = failed.errno or 0
                raise KernelError(f"set sysctl {path} to {value}: {explain(code)}", code) from None


def _write_sysctl(path: str, value: str) -> None:
    descriptor = os.open(f"/proc/sys/{path}", os.O_RDWR | os.O_CLOEXEC)
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
            with open(f"/proc/sys/{path}", encoding="ascii") as file:
                found[path] = file.read().strip()
        except OSError:
            continue
    return found
