"""Network namespaces: a new one for this thread, and a while inside another.

Edge. A namespace belongs to the thread, so nothing here awaits: no other task may run in a pod's by accident.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from kernel.message import explain
from kernel.netlink import KernelError

_NEW_NET = 0x40000000  # CLONE_NEWNET

_libc = ctypes.CDLL(None, use_errno=True)  # Python 3.11 has neither setns nor unshare


def unshare_network() -> None:
    """Move this thread into a new network namespace. Raises KernelError: not permitted."""
    if _libc.unshare(_NEW_NET) != 0:
        code = ctypes.get_errno()
        raise KernelError(f"make a network namespace: {explain(code)}", code)


@contextmanager
def inside(netns: int) -> Iterator[None]:
    """Run the block in the network namespace of this descriptor. No await within: it is the thread that moves.

    Raises KernelError before anything changed: not a namespace, or one that is not ours to enter. If the way back
    fails the process ends: nothing it did from then on would land where it belongs.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(netns, _NEW_NET) != 0:
            code = ctypes.get_errno()
            raise KernelError(f"enter the network namespace of descriptor {netns}: {explain(code)}", code)
        try:
            yield
        finally:
            if _libc.setns(home, _NEW_NET) != 0:
                sys.stderr.write(f"return to the node's network namespace: {explain(ctypes.get_errno())}; ending\n")
                os._exit(70)
    finally:
        os.close(home)
