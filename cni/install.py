"""Puts the shim and the network's configuration on a host.

The runtime takes the node for ready as soon as it sees the configuration, so that comes last, when the agent
serves. Both are written beside their place and renamed. At shutdown they stay: a runtime without a configuration
refuses DEL, and its pods stay in Terminating for ever.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cni.files import replace

BINARY = "felix"
CONFLIST = "10-felix.conflist"


def conflist(
    network: str = "k8s-pod-network",
    *,
    ipv4: bool = True,
    ipv6: bool = False,
    mtu: int = 0,
    socket: Path | None = None,
    state_dir: Path | None = None,
) -> dict[str, Any]:
    """Return the network's configuration.

    cniVersion is what the oldest libraries must read; newer ones take the highest of cniVersions and with it
    STATUS and GC. socket, state_dir: where the shim finds the agent, and notes DELs while it is away.
    """
    plugin: dict[str, Any] = {
        "type": BINARY,
        "ipam": {"type": "felix-ipam", "assign_ipv4": ipv4, "assign_ipv6": ipv6},
        "capabilities": {"io.kubernetes.cri.pod-annotations": True},
    }
    if mtu:
        plugin["mtu"] = mtu
    places = {"felix_socket": socket, "felix_state_dir": state_dir}
    plugin |= {key: str(place) for key, place in places.items() if place is not None}
    return {
        "cniVersion": "0.3.1",
        "cniVersions": ["0.3.1", "0.4.0", "1.0.0", "1.1.0"],
        "name": network,
        "plugins": [plugin],
    }


def install_shim(source: Path, folder: Path = Path("/opt/cni/bin")) -> Path:
    """Put the executable into the runtime's folder. One that is just being run is not disturbed."""
    place = folder / BINARY
    content = source.read_bytes()
    if not place.exists() or place.read_bytes() != content:
        replace(place, content, 0o755)
    return place


def install_conflist(document: Mapping[str, Any], folder: Path = Path("/etc/cni/net.d")) -> Path:
    """Write the configuration, by which the runtime takes the node for ready: to be called last."""
    place = folder / CONFLIST
    content = json.dumps(document, indent=2).encode() + b"\n"
    if not place.exists() or place.read_bytes() != content:
        replace(place, content, 0o600)
    return place
