"""What a lab left on the host: the difference of two listings, made from outside before it starts and after its end.

A host is never quite still: cron and other programs start processes and end them. What a lab started has its variable
in the environment, is our own child, or is in a namespace of the lab's. Nothing else is attributed to it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from lab.node_namespace import LAB_VARIABLE
from lab.verdict import attributable

KINDS = ("user", "pid", "mnt", "net", "uts", "ipc")
# How deep the lab's production paths lie: /opt/cni/bin/felix is two below /opt/cni.
FOLDERS = {"/run": 2, "/etc/cni": 2, "/opt/cni": 2, "/var/lib": 1, "/tmp": 1, "/dev/shm": 1}
SETTLE_SECONDS = 3.0
_NS_GET_USERNS = 0xB701  # ioctl_ns(2)
_OF_MODULES = {"tunl0"}  # in every network namespace from the moment that the kernel loads ipip, and not to be deleted


class Process(Struct, frozen=True):
    """One process. PIDs are used again, so it is identified by its start time too. marked: it is a lab's."""

    pid: int
    began: str
    parent: int
    command: str
    namespaces: tuple[str, ...]
    marked: bool = False  # by its environment, or its command line


class HostListing(Struct, frozen=True):
    """The host at one moment, as far as this user can see it."""

    processes: Mapping[tuple[int, str], Process]
    links: frozenset[str]
    mounts: frozenset[str]
    files: frozenset[str]


def listing() -> HostListing:
    """Return what is there now."""
    mounts = dict(_mounts() if os.getuid() == 0 else ())  # only root can mount on a host
    others = {path for path, root in mounts.items() if root.startswith("net:[") and _is_of_the_host(path)}
    return HostListing(
        processes={(each.pid, each.began): each for each in _processes()},
        links=frozenset(os.listdir("/sys/class/net")) - _OF_MODULES,
        mounts=frozenset(f"{path} ({root})" for path, root in mounts.items() if path not in others),
        files=frozenset(path for folder, depth in FOLDERS.items() for path in _files(folder, depth)) - others,
    )


def leftovers(before: HostListing, after: HostListing, own: frozenset[str] = frozenset()) -> list[str]:
    """Return what is there after and was not before, one sentence each. `own` are namespaces that were the lab's."""
    left = list(_left_processes(before, after, own))
    known = {name for process in before.processes.values() for name in process.namespaces}
    held = {name for process in left for name in process.namespaces} - known
    return [
        *(f"process {process.pid}: {process.command}" for process in left),
        *(f"namespace {name}" for name in sorted(held)),
        *(f"link {name}" for name in sorted(after.links - before.links)),
        *(f"mount {name}" for name in sorted(after.mounts - before.mounts)),
        *(f"file {name}" for name in sorted(after.files - before.files)),
    ]


def final_leftovers(before: HostListing, own: frozenset[str] = frozenset()) -> list[str]:
    """Return what is left now; what goes away by itself within moments (a process being reaped) is not counted."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while attributable(found := leftovers(before, listing(), own)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def namespaces_of(pid: int) -> frozenset[str]:
    """Return the namespaces a process is in, as a listing names them."""
    return frozenset(_namespaces(Path(f"/proc/{pid}")))


@contextmanager
def held_namespaces(pid: int) -> Iterator[frozenset[str]]:
    """Yield the namespaces a process is in, as `namespaces_of`, and keep them until the end of the block.

    The kernel gives the name of one that has ended to the next that anybody makes.
    """
    with ExitStack() as held:
        with suppress(OSError):  # the process has just ended: there is none
            for kind in KINDS:
                held.enter_context(open(f"/proc/{pid}/ns/{kind}"))
        yield namespaces_of(pid)


def _left_processes(before: HostListing, after: HostListing, own: frozenset[str]) -> Iterator[Process]:
    """Yield the new processes that are a lab's: marked and orphaned, descended from us, or in a namespace of the lab's.

    A marked one with another living ancestor is of another user's lab.
    """
    by_pid = {process.pid: process for process in after.processes.values()}
    earlier = {pid for pid, _ in before.processes} - {1, os.getpid()}
    for key, process in after.processes.items():
        if key in before.processes:
            continue
        ancestor = process.parent
        while ancestor in by_pid and ancestor not in earlier | {1, os.getpid()}:
            ancestor = by_pid[ancestor].parent
        orphaned = process.marked and ancestor not in earlier
        if orphaned or ancestor == os.getpid() or own.intersection(process.namespaces):
            yield process


def _processes() -> Iterator[Process]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            except OSError:
                continue  # it has just ended
            if fields[0] != "Z" and fields[1] != "2":  # neither a zombie nor the kernel's own
                marked = " -m lab " in command or _is_marked(folder)
                yield Process(int(folder.name), fields[19], int(fields[1]), command[:120], _namespaces(folder), marked)


def _is_marked(folder: Path) -> bool:
    try:
        return f"{LAB_VARIABLE}=".encode() in (folder / "environ").read_bytes()
    except OSError:
        return False  # another user's, or it has just ended


def _namespaces(folder: Path) -> tuple[str, ...]:
    """Return the namespaces a process is in; those of another user's process cannot be seen."""
    try:
        return tuple(os.readlink(folder / "ns" / kind) for kind in KINDS)
    except OSError:
        return ()


def _mounts() -> Iterator[tuple[str, str]]:
    """Yield each mount point, and what of its filesystem is mounted there."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        yield fields[4], fields[3]


def _is_of_the_host(path: str) -> bool:
    """True if a named network namespace belongs to this process's own user namespace: a lab's belong to the lab's."""
    try:
        with open(path) as namespace, open(fcntl.ioctl(namespace, _NS_GET_USERNS)) as owner:
            return os.fstat(owner.fileno()).st_ino == os.stat("/proc/self/ns/user").st_ino
    except OSError:
        return False  # it has just gone


def _files(folder: str, depth: int) -> Iterator[str]:
    """Yield this user's paths below a folder, `depth` levels deep: a lab's processes are this user's on the host."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if _owner(entry) == os.getuid():
            yield entry.path
        if depth > 1 and entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path, depth - 1)


def _owner(entry: os.DirEntry[str]) -> int | None:
    try:
        return entry.stat(follow_symlinks=False).st_uid
    except OSError:
        return None  # it has just gone
