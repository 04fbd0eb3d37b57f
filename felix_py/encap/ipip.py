"""IPIP (RFC 2003): one more IPv4 header, and the kernel's own device.

Pure.
"""

from __future__ import annotations

from felix_py.encap.encapsulation import Encapsulation

IPIP = Encapsulation(
    kind="ipip",
    device="tunl0",  # the kernel's: it comes with the module, and cannot be deleted
    overhead=20,
    version=4,
    mode_of=lambda pool: pool.spec.ipip_mode,
    configured_mtu=lambda configuration: configuration.spec.ipip_mtu,
)
