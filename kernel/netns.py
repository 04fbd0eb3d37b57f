"""Network namespaces: a new one, a while inside another, and what a descriptor leads to.

Edge. A namespace belongs to the thread, so nothing here awaits: no other task may run in a pod's by accident.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kernel.message import explain
from kernel.netlink import KernelError

CLONE_NEWNET = 0x40000000
"""The kind of a network namespace, in linux/sched.h and in the answer of NS_GET_NSTYPE."""

_NS_GET_NSTYPE = 0xB703
_THIS_THREADS = "/proc/thread-self/ns/net"

_libc = ctypes.CDLL(None, use_errno=True)  # Python 3.11 has neither setns nor unshare


def unshare_network() -> None:
    """Move this thread into a new network namespace. Raises KernelError: not permitted."""
    if _libc.unshare(CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise KernelError(f"make a network namespace: {explain(code)}", code)


def new_network_namespace() -> int:
    """Make a network namespace and return the descriptor that keeps it; this thread stays where it is.

    Raises KernelError: not permitted.
    """
    outcome: list[int | KernelError] = []

    def make() -> None:
        try:
            unshare_network()
            outcome.append(_open_current())
        except KernelError as refused:
            outcome.append(refused)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    [made] = outcome
    if isinstance(made, KernelError):
        raise made
    return made


@contextmanager
def inside(netns: int) -> Iterator[None]:
    """Run the block in the network namespace of this descriptor. No await within: it is the thread that moves.

    Raises KernelError before anything changed: not a namespace, or one that is not ours to enter. If the way back
    fails the process ends: nothing it did from then on would land where it belongs.
    """
    home = _open_current()
    try:
        if _libc.setns(netns, CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise KernelError(f"enter the network namespace of descriptor {netns}: {explain(code)}", code)
        try:
            yield
        finally:
            if _libc.setns(home, CLONE_NEWNET) != 0:
                sys.stderr.write(f"return to the node's network namespace: {explain(ctypes.get_errno())}; ending\n")
                os._exit(70)
    finally:
        os.close(home)


def kind_of(descriptor: int) -> int | None:
    """Return the CLONE_NEW… number of a namespace's kind; None if the descriptor is not a namespace's."""
    try:
        return fcntl.ioctl(descriptor, _NS_GET_NSTYPE)
    except OSError:
        return None


def is_current(netns: int) -> bool:
    """Whether this thread is in the network namespace of the descriptor."""
    there, here = os.fstat(netns), os.stat(_THIS_THREADS)
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def _open_current() -> int:
    return os.open(_THIS_THREADS, os.O_RDONLY | os.O_CLOEXEC)
