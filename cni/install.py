"""Puts the network's configuration on a host.

The runtime takes the node for ready as soon as it sees the configuration, so that comes last, when the agent
serves. It is written beside its place and renamed. At shutdown it stays: a runtime without a configuration
refuses DEL, and its pods stay in Terminating for ever.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cni.chain import PLUGINS, PluginChain
from cni.configurations import BINARY, CONFLIST, first_of
from cni.files import replace
from cni.host_local import HOST_LOCAL
from cni.network_config import NetworkConfig
from cni.request import UNVERSIONED, VERSIONS

KEPT = CONFLIST + ".before"

log = logging.getLogger("cni.install")


def conflist(
    network: str = "k8s-pod-network",
    *,
    ipv4: bool = True,
    ipv6: bool = False,
    mtu: int = 0,
    socket: Path | None = None,
    state_dir: Path | None = None,
    behind: PluginChain | None = None,
    pod_cidrs: bool = False,
) -> dict[str, Any]:
    """Return the network's configuration.

    cniVersion is what the oldest libraries must read; newer ones take the highest of cniVersions and with it
    STATUS and GC. socket, state_dir: where the shim finds the agent, and notes DELs while it is away. behind: the
    plugins that run after ours. pod_cidrs: addresses are of the node's podCIDRs, given by `host-local`.
    """
    behind = behind or PluginChain()
    plugin: dict[str, Any] = {
        "type": BINARY,
        "ipam": _of_pod_cidrs(ipv4=ipv4, ipv6=ipv6)
        if pod_cidrs
        else {"type": "felix-ipam", "assign_ipv4": ipv4, "assign_ipv6": ipv6},
        "capabilities": {"io.kubernetes.cri.pod-annotations": True},
    }
    if mtu:
        plugin["mtu"] = mtu
    places = {"felix_socket": socket, "felix_state_dir": state_dir}
    plugin |= {key: str(place) for key, place in places.items() if place is not None}
    return {
        "cniVersion": behind.versions[0],
        "cniVersions": list(behind.versions),
        "name": network,
        "plugins": [plugin, *(dict(PLUGINS[name]) for name in behind.plugins)],
        # CRI-O checks each pod that it starts: bandwidth 1.1 panics over one without limits, portmap refuses IPv4.
        **({"disableCheck": True} if behind.plugins else {}),
    }


def _of_pod_cidrs(*, ipv4: bool, ipv6: bool) -> dict[str, Any]:
    """Return the `ipam` that Calico's operator writes for this."""
    names = [name for wanted, name in ((ipv4, "usePodCidr"), (ipv6, "usePodCidrIPv6")) if wanted]
    return {"type": HOST_LOCAL, "ranges": [[{"subnet": name}] for name in names]}


def from_template(text: str, *, node: str, mtu: int) -> dict[str, Any]:
    """Return the configuration of a template, such as those of Calico's manifests, its placeholders filled in.

    mtu: 0: the agent's. Raises ValueError, a sentence that names the placeholder, plugin, member or version.
    """
    for placeholder, value in (("__CNI_MTU__", str(mtu)), ("__KUBERNETES_NODE_NAME__", node)):
        text = text.replace(placeholder, value)
    if left := re.search(r"__[A-Z][A-Z0-9_]*__", text):
        raise ValueError(f"the placeholder {left[0]} is not known here")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON: {error}") from None
    match document:
        case {"name": name, "plugins": list() as plugins}:
            pass
        case _:
            raise ValueError("it is not a JSON object with a name and plugins")
    types = [plugin.get("type") if isinstance(plugin, dict) else plugin for plugin in plugins]
    if BINARY not in types:
        raise ValueError(f'none of its plugins {types} is of type "{BINARY}", which is what is installed here')
    try:
        NetworkConfig.model_validate({**plugins[types.index(BINARY)], "name": name})
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))} {first['input']!r}: {first['msg']}") from None
    if _is_in_none_of_our_versions(document):
        raise ValueError(
            f"cniVersion {document.get('cniVersion')!r} is not supported, and no pod would start: use one of "
            + ", ".join(VERSIONS)
        )
    return dict(document)


def _is_in_none_of_our_versions(document: Mapping[str, Any]) -> bool:
    """Whether a runtime would call our plugin in a version that it refuses, whichever of the list's it takes."""
    more = document.get("cniVersions")
    offered = [document.get("cniVersion") or UNVERSIONED, *(more if isinstance(more, list) else ())]
    return not any(version in VERSIONS for version in offered)


def comes_first(folder: Path) -> str | None:
    """Return the name of another network's file that a runtime takes instead of ours, for it sorts first."""
    return first_of(path.name for path in folder.glob("*"))


def install_conflist(
    document: Mapping[str, Any], folder: Path = Path("/etc/cni/net.d"), note: Path | None = None
) -> Path:
    """Write the configuration, by which the runtime takes the node for ready: to be called last.

    What was there is kept beside it under a name that no runtime reads, unless it is as it was last installed, so not
    edited. note: where a copy of what is installed is kept, to compare with.
    """
    place = folder / CONFLIST
    content = json.dumps(document, indent=2).encode() + b"\n"
    before = place.read_bytes() if place.exists() else None
    last = note.read_bytes() if note is not None and note.exists() else None
    if before is not None and before not in (content, last):
        replace(folder / KEPT, before, 0o600)
        log.warning("%s is written anew; what it held is kept in %s", place, folder / KEPT)
    if before != content:
        replace(place, content, 0o600)
    if note is not None and last != content:
        replace(note, content, 0o600)
    return place
