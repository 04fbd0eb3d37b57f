"""What the container runtime and other programs of a host must leave to felix-py, and whether they do.

Pure: what was read of the host is handed in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from cni.configurations import BINARY, CONFLIST, first_of
from cni.pod_network import ANYWHERE
from felixctl.node.findings import Availability, Finding
from net.packet_filter import FORWARDED, RECEIVED, TCP, Hook, Packet, PacketFilters

USUAL_CONF_DIR, USUAL_PLUGIN_DIR = "/etc/cni/net.d", "/opt/cni/bin"
SOCKETS = {"containerd": "run/containerd/containerd.sock", "CRI-O": "run/crio/crio.sock"}
POD_DEVICE = "cali0"
BGP_PORT, SOME_PORT = 179, 40000


class Runtime(Struct, frozen=True):
    """A container runtime that was found, and where it looks for configurations and plugins."""

    name: str
    conf_dir: str = USUAL_CONF_DIR
    plugin_dirs: tuple[str, ...] = (USUAL_PLUGIN_DIR,)


class HostFiles(Struct, frozen=True):
    """plugin: whether ours can be run. configurations: the files' names in conf_dir; None = there is no such folder.

    runtimes: None = this is a container, which sees none of the host's. filters: None = they were not read.
    """

    conf_dir: str = USUAL_CONF_DIR
    plugin_dir: str = USUAL_PLUGIN_DIR
    plugin: bool = False
    configurations: tuple[str, ...] | None = None
    runtimes: tuple[Runtime, ...] | None = ()
    filters: PacketFilters | None = None


def containerd(config: Mapping[str, Any]) -> Runtime:
    """Return where containerd looks, by its configuration of version 2 or 3."""
    plugins = _table(config, "plugins")
    for plugin in ("io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"):
        cni = _table(_table(plugins, plugin), "cni")
        if cni:
            return _runtime("containerd", cni.get("conf_dir"), cni.get("bin_dirs") or cni.get("bin_dir"))
    return Runtime("containerd")


def crio(config: Mapping[str, Any]) -> Runtime:
    network = _table(_table(config, "crio"), "network")
    return _runtime("CRI-O", network.get("network_dir"), network.get("plugin_dirs"))


def podman(config: Mapping[str, Any]) -> Runtime:
    """Return where podman looks with its CNI back end. It takes each file for a network of its own."""
    network = _table(config, "network")
    return _runtime("podman", network.get("network_config_dir"), network.get("cni_plugin_dirs"))


def _table(config: object, name: str) -> Mapping[str, Any]:
    found = config.get(name) if isinstance(config, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _runtime(name: str, conf_dir: object, plugin_dirs: object) -> Runtime:
    folders = [plugin_dirs] if isinstance(plugin_dirs, str) else plugin_dirs if isinstance(plugin_dirs, list) else []
    return Runtime(
        name,
        conf_dir if isinstance(conf_dir, str) and conf_dir else USUAL_CONF_DIR,
        tuple(str(folder) for folder in folders if folder) or (USUAL_PLUGIN_DIR,),
    )


def findings(host: HostFiles) -> Iterator[Finding]:
    """Yield what was found, in the order in which it is listed."""
    yield _plugin(host)
    yield _configuration(host)
    yield from _runtimes(host, host.runtimes)
    yield from _filters(host.filters)


def _plugin(host: HostFiles) -> Finding:
    place = f"{host.plugin_dir}/{BINARY}"
    state = Availability.PRESENT if host.plugin else Availability.MISSING
    cure = "" if host.plugin else f"{place} is no executable file; make it: python -m cni.build {place}"
    return Finding("CNI plugin", state, "what the container runtime runs for a pod", True, cure)


def _configuration(host: HostFiles) -> Finding:
    purpose = "by which the container runtime attaches pods to this network"
    names = host.configurations or ()
    if first := first_of(names):
        cure = f"another configuration comes first in {host.conf_dir}: {first}; remove it, or rename it to sort behind"
        return Finding("CNI configuration", Availability.WRONG, purpose, True, cure)
    state = Availability.PRESENT if CONFLIST in names else Availability.BY_AGENT
    detail = "" if CONFLIST in names else f"{host.conf_dir}/{CONFLIST}, where FELIX_CNICONFDIR is set"
    return Finding("CNI configuration", state, purpose, True, detail)


def _runtimes(host: HostFiles, runtimes: tuple[Runtime, ...] | None) -> Iterator[Finding]:
    purpose = "runs pods"
    if not runtimes:
        looked = ", ".join(f"/{path}" for path in SOCKETS.values())
        state, detail = Availability.MISSING, f"no {looked}, and no podman"
        if runtimes is None:
            state, detail = Availability.UNKNOWN, f"this container does not see the host's {looked}; look on the host"
        yield Finding("container runtime", state, purpose, False, detail)
    for runtime in runtimes or ():
        cures = []
        if runtime.conf_dir != host.conf_dir:
            cures.append(f"it looks for configurations in {runtime.conf_dir}; ours is in {host.conf_dir}")
        if host.plugin_dir not in runtime.plugin_dirs:
            cures.append(f"it looks for plugins in {', '.join(runtime.plugin_dirs)}; ours is in {host.plugin_dir}")
        state = Availability.WRONG if cures else Availability.PRESENT
        yield Finding(runtime.name, state, purpose, True, "; ".join(cures))


def _filters(filters: PacketFilters | None) -> Iterator[Finding]:
    """Yield whether packets of pods and BGP pass. Which pods there will be is not known: any address counts."""
    here = ANYWHERE[4]
    forwarded = (Packet(None, here, POD_DEVICE, None), Packet(None, here, None, POD_DEVICE))
    sessions = (Packet(None, here, None, "", TCP, SOME_PORT, BGP_PORT),)
    yield _filter("packet filters, forwarding", "packets between pods and other nodes", filters, FORWARDED, forwarded)
    yield _filter("packet filters, BGP", f"BGP sessions (TCP port {BGP_PORT})", filters, RECEIVED, sessions)


def _filter(
    name: str, purpose: str, filters: PacketFilters | None, hooks: tuple[Hook, ...], packets: tuple[Packet, ...]
) -> Finding:
    if filters is None or filters.unread:
        why = "; ".join(filters.unread) if filters else "reading them takes root"
        return Finding(name, Availability.UNKNOWN, purpose, False, why)
    outcomes = [filters.outcome(hooks, packet) for packet in packets]
    for one in outcomes:
        if one.dropped and not one.partly:
            detail = f"{one.dropped} drops them; {one.dropped.shown_by} shows it"
            return Finding(name, Availability.WRONG, purpose, True, detail)
    doubts = [hit for one in outcomes for hit in (*one.doubts, *([one.dropped] if one.dropped else []))]
    if doubts:
        return Finding(name, Availability.UNKNOWN, purpose, False, f"{doubts[0]} may drop some")
    return Finding(name, Availability.PRESENT, purpose, False)
