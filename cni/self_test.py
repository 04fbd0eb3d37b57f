"""Whether this agent can make a pod's device at all, found out by making one and removing it again."""

from __future__ import annotations

import errno
import os
from contextlib import closing
from pathlib import Path
from typing import Final

from cni.pod_network import HOST_MAC
from kernel.links import Devices
from kernel.netlink import KernelError
from kernel.netns import inside, new_network_namespace
from kernel.sysctl import PROC_SYS, write_sysctls

NAME: Final = "felixselftest"
_CAPABILITIES: Final = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}  # their bits, linux/capability.h


def why_no_device(sysctls: Path = PROC_SYS) -> str | None:
    """Return why no veth can be made, set up and entered in a fresh namespace; None: it was, and is removed again.

    sysctls: where they can be written. It takes 20 to 40 ms, most of it waiting for the kernel.
    """
    try:
        netns = new_network_namespace()
        try:
            with closing(Devices()) as devices:
                _remove_remains(devices)
                made = devices.create_veth(NAME, netns, "eth0", HOST_MAC)
                try:
                    write_sysctls({f"net/ipv4/conf/{NAME}/proxy_arp": "1"}, root=sysctls)
                    with inside(netns), closing(Devices()) as pod:
                        found = pod.link("eth0")
                finally:
                    devices.delete(made.index)
                return None if found else f"the other end of {NAME} is not in the namespace that it was made into"
        finally:
            os.close(netns)
    except (KernelError, OSError) as error:
        lacking = _lacking() if error.errno in (errno.EPERM, errno.EACCES) else []
        return f"{error}; the agent lacks {' and '.join(lacking)}" if lacking else str(error)


def _remove_remains(devices: Devices) -> None:
    """Remove what an agent left that was killed in the middle."""
    left = devices.link(NAME)
    if left is not None:
        devices.delete(left.index)


def _lacking() -> list[str]:
    """Return which of the capabilities that pods' devices take this thread does not have."""
    [line] = [one for one in Path("/proc/thread-self/status").read_text().splitlines() if one.startswith("CapEff:")]
    effective = int(line.split()[1], 16)
    return [name for name, bit in _CAPABILITIES.items() if not effective >> bit & 1]
