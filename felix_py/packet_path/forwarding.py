"""Which sysctls of the host let packets of pods through: of the families that pods use, and no others.

An edge. The host is not ours: what is right already is not written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from kernel.sysctl import PROC_SYS, read_sysctls, write_sysctls

_CONF = PROC_SYS / "net/ipv6/conf"


def forwarding(families: Collection[int], accept_ra: Mapping[str, str]) -> dict[str, str]:
    """Return what is to be set for pods of these IP versions, in order.

    accept_ra: by its path, of each device. A host that forwards IPv6 learns from router advertisements only with 2;
    without that its default route would go.
    """
    wanted = {"net/ipv4/ip_forward": "1"} if 4 in families else {}
    if 6 in families:
        wanted |= {path: "2" for path, value in accept_ra.items() if value == "1"}
        wanted["net/ipv6/conf/all/forwarding"] = "1"
    return wanted


def forward(families: Collection[int], pod_prefix: str, root: Path = PROC_SYS) -> None:
    """Set them. pod_prefix: how the names of pods' devices begin; those listen to no router. Raises KernelError.

    root: where sysctls can be written.
    """
    paths = (f"net/ipv6/conf/{one.name}/accept_ra" for one in _CONF.glob("*") if not one.name.startswith(pod_prefix))
    write_sysctls(forwarding(families, read_sysctls(paths)), root=root)
