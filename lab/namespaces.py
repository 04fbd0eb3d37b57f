"""The sandbox of namespaces around a lab, and the namespaces of the nodes inside it.

      host                 │ sandbox: user, PID, mount, network, UTS and IPC namespaces, a tmpfs as root
      ─────────────────────┼────────────────────────────────────────────────────────────────────
      felixctl lab run ──► │ first process (PID 1: reaps) ─► supervisor ─► node n1: network, mount, UTS
                           │                                           └─► node n2 …

An ordinary user becomes root of a user namespace; root does the same, so that both see one behaviour and neither can
touch the host. When the first process dies the kernel kills every other one, and with the last of them the
namespaces, devices, mounts and files are gone: there is nothing to clean up.

Python 3.11 has no unshare, setns or mount, hence ctypes.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kernel.netns import CLONE_NEWNET, inside

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID = (
    0x00020000,
    0x04000000,
    0x08000000,
    0x10000000,
    0x20000000,
)
NEWNET = CLONE_NEWNET
SANDBOX = NEWUSER | NEWPID | NEWNS | NEWNET | NEWUTS | NEWIPC
NODE_KINDS = NEWNS | NEWNET | NEWUTS

_BIND, _REC, _PRIVATE, _DETACH = 0x1000, 0x4000, 1 << 18, 2
_AT_RECURSIVE, _RDONLY = 0x8000, 1
_SYS_PIVOT_ROOT, _SYS_MOUNT_SETATTR = {
    "x86_64": (155, 442),
    "aarch64": (41, 442),
    "ppc64le": (203, 442),
    "s390x": (217, 442),
    "riscv64": (41, 442),
}.get(os.uname().machine, (41, 442))
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15

# What each node has of its own; everything else (programs, the project's tree, the cluster's datastore) is shared.
NODE_FOLDERS = ("run", "var/lib", "var/log", "etc/cni", "opt/cni", "tmp")
SYSTEM_FOLDERS = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
SYSTEM_FILES = ("passwd", "group", "nsswitch.conf", "ld.so.cache", "protocols", "services", "localtime", "mime.types")
SYSTEM_SETTINGS = ("ssl", "alternatives", "iproute2")
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_libc = ctypes.CDLL(None, use_errno=True)


class NamespaceError(Exception):
    """The system refused a namespace or a mount; the message says which, and what to do."""


def become_sandbox(binds: Iterable[Path], *, dies_with_parent: bool) -> None:
    """Make a sandbox around this process; only its second process, the supervisor, returns from here.

    The caller's own process waits outside for the sandbox's end and exits with the supervisor's status. `binds` are
    folders shown read-only at their own paths.
    """
    uid, gid = os.getuid(), os.getgid()
    _leave_the_host(uid, gid)
    if dies_with_parent:
        die_with_parent()
    first = os.fork()
    if first:
        _close_standard_streams()
        os._exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) & 0xFF)
    die_with_parent()
    build_root(binds)
    supervisor = os.fork()
    if supervisor:
        _close_standard_streams()
        _reap_until(supervisor)


def _leave_the_host(uid: int, gid: int) -> None:
    try:
        _check(_libc.unshare(SANDBOX), "unshare")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except OSError as error:
        raise NamespaceError(
            f"make a sandbox of namespaces: {error.strerror}; this system forbids user namespaces to this user: "
            f"allow them ({_how_to_allow()}) or run the lab on a machine that does"
        ) from None


def _how_to_allow() -> str:
    """Name the switch that is off, of the three that are known to forbid user namespaces."""
    for name, forbids, allow in (
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
        ("kernel/unprivileged_userns_clone", "0", "1"),
        ("user/max_user_namespaces", "0", "10000"),
    ):
        switch = Path("/proc/sys", name)
        if switch.exists() and switch.read_text().strip() == forbids:
            return f"as root: sysctl -w {name.replace('/', '.')}={allow}"
    return "in a container: its seccomp profile must permit unshare, mount and pivot_root"


def _reap_until(supervisor: int) -> None:
    """Be the sandbox's first process: collect the orphans, and end with the supervisor."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    while True:
        pid, status = os.wait()
        if pid == supervisor:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def build_root(binds: Iterable[Path]) -> None:
    """Make a tmpfs the root: the system's programs and `binds` read-only, all else empty and our own."""
    root = Path("/mnt")  # any folder that exists: the tmpfs lies over it in this mount namespace only
    _mount(None, "/", flags=_REC | _PRIVATE)
    _mount("tmpfs", root, kind="tmpfs", data="mode=755")
    for name in ("etc", "opt", "var/lib", "var/log", "root", "srv", "proc", "sys", "dev", "old"):
        (root / name).mkdir(parents=True)
    for name in ("tmp", "run"):
        (root / name).mkdir(mode=0o1777 if name == "tmp" else 0o755)
    (root / "var/run").symlink_to("/run")  # as everywhere: runtimes and iproute2 call the folder of namespaces so
    for name in SYSTEM_FOLDERS:
        _show_system_folder(Path("/", name), root)
    for folder in _outermost(binds):
        _show(folder, root)
    for name in SYSTEM_SETTINGS:
        if Path("/etc", name).is_dir():
            _show(Path("/etc", name), root)
    for name in SYSTEM_FILES:
        if Path("/etc", name).is_file():
            shutil.copy(f"/etc/{name}", root / "etc" / name)
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    _mount("/dev", root / "dev", flags=_BIND | _REC)
    _mount("proc", root / "proc", kind="proc")
    os.chdir(root)
    _check(_libc.syscall(_SYS_PIVOT_ROOT, b".", b"old"), "pivot_root")
    _check(_libc.umount2(b"/old", _DETACH), "umount /old")
    os.chdir("/")
    os.rmdir("/old")


def _show_system_folder(folder: Path, root: Path) -> None:
    """Show /usr as it is, /bin either as the link into /usr that it is today or as a folder."""
    if folder.is_symlink():
        (root / folder.name).symlink_to(os.readlink(folder))
    elif folder.is_dir():
        _show(folder, root)


def _show(folder: Path, root: Path) -> None:
    """Bind `folder` read-only at its own path below `root`."""
    place = root / folder.relative_to("/")
    place.mkdir(parents=True, exist_ok=True)
    _mount(folder, place, flags=_BIND | _REC)
    attributes = struct.pack("=QQQQ", _RDONLY, 0, 0, 0)
    _check(
        _libc.syscall(
            _SYS_MOUNT_SETATTR, -100, os.fsencode(place), _AT_RECURSIVE, attributes, ctypes.c_size_t(len(attributes))
        ),
        f"make {folder} read-only",
    )


def _outermost(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield the folders that lie in no other of them and in no system folder."""
    shown = [Path("/", name).resolve() for name in SYSTEM_FOLDERS]
    for folder in sorted({folder.resolve() for folder in folders}, key=lambda path: len(path.parts)):
        if not any(folder.is_relative_to(other) for other in shown):
            shown.append(folder)
            yield folder


def make_node_namespace(name: str, binds: Iterable[Path] = ()) -> int:
    """Fork a process that holds a new node's network, mount and UTS namespaces; return its PID when they are ready.

    Call it while this process has one thread only, with the sandbox's `binds`. The node ends with the sandbox.
    """
    ready, done = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(ready)
            _configure_node_namespace(name, binds)
            os.write(done, b"1")
            os.close(done)
            signal.pause()
        finally:
            os._exit(1)
    os.close(done)
    with os.fdopen(ready, "rb") as pipe:
        if pipe.read(1) != b"1":
            raise NamespaceError(f"make node {name}: its first process ended; see /var/log/lab.log")
    return pid


def _configure_node_namespace(name: str, binds: Iterable[Path]) -> None:
    _check(_libc.unshare(NODE_KINDS), f"unshare for node {name}")
    # A tree in /tmp or /var/lib would vanish under the node's own: it is held open and mounted there again.
    opened = [(folder, os.open(folder, os.O_PATH)) for folder in _outermost(binds)]
    for name_of_folder in NODE_FOLDERS:
        place = Path("/", name_of_folder)
        place.mkdir(parents=True, exist_ok=True)
        _mount("tmpfs", place, kind="tmpfs", data="mode=755")
    for folder, descriptor in opened:
        if not folder.exists():
            folder.mkdir(parents=True)
            _mount(f"/proc/self/fd/{descriptor}", folder, flags=_BIND | _REC)
        os.close(descriptor)
    for path in ("/run/netns", "/etc/cni/net.d", "/opt/cni/bin"):
        Path(path).mkdir(parents=True)
    socket.sethostname(name)
    _libc.prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def enter(pid: int, kinds: int) -> None:
    """Move this process, which must have one thread only, into the namespaces of `kinds` of process `pid`.

    Of the PID namespace only children become members.
    """
    descriptor = os.pidfd_open(pid)
    try:
        _check(_libc.setns(descriptor, kinds), f"enter the namespaces of process {pid}")
    finally:
        os.close(descriptor)
    if kinds & NEWNS:
        os.chdir("/")


@contextmanager
def network_of(pid: int) -> Iterator[None]:
    """Be in the network namespace of `pid` for a moment: sockets opened within stay there. Never await within."""
    there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        with inside(there):
            yield
    finally:
        os.close(there)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies, however that comes."""
    parent = os.getppid()
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    if os.getppid() != parent:
        os._exit(1)


def _close_standard_streams() -> None:
    """Close the caller's pipes, so that only the supervisor keeps them open."""
    sys.stdout.flush()
    nothing = os.open("/dev/null", os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)


def _mount(
    source: str | Path | None, target: str | Path, *, kind: str | None = None, flags: int = 0, data: str = ""
) -> None:
    failed = _libc.mount(
        os.fsencode(source or "none"),
        os.fsencode(target),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        data.encode(),
    )
    _check(failed, f"mount {source or kind} on {target}")


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
