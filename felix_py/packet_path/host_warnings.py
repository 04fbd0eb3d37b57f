"""What of a host keeps pods' packets from their way, or pods from this network, as sentences with their cure.

Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from felix_py.packet_path.neighbour_room import NeighbourRoom
from felix_py.snapshot import Endpoint
from felix_py.status_model import Filtered, FilteredTraffic, HostIssue, HostWarning

MOST_NAMED = 3  # pods in one sentence


def in_the_way(
    found: Iterable[Filtered],
    not_forwarding: Iterable[str],
    first_configuration: str,
    folder: object,
    installed: str,
    missing_plugin: object = None,
    crowded: Iterable[NeighbourRoom] = (),
) -> tuple[HostWarning, ...]:
    """Return the sentences, each once.

    not_forwarding: the sysctls of forwarding that are off, though there are pods of their family.
    first_configuration: another network's file that sorts before ours, "" = there is none; folder: where it is;
    installed: our file. missing_plugin: where our plugin is to be, and is not. crowded: where the kernel keeps fewer
    neighbours than this node needs.
    """
    warnings = (
        *_filters(found),
        *map(_not_forwarding, not_forwarding),
        *_overtaken(first_configuration, folder, installed),
        *_without(missing_plugin),
        *map(_crowded, crowded),
    )
    return tuple(dict.fromkeys(warnings))


def _filters(found: Iterable[Filtered]) -> Iterator[HostWarning]:
    dropped = [(one, one.outcome.dropped) for one in found]
    for one, hit in dropped:
        if hit is None:
            continue
        if one.traffic is FilteredTraffic.BGP:
            accept = hit.accept_port(one.port)
            text = f"a packet filter drops BGP (port {one.port}) with {one.destination}: {hit}; to accept it: {accept}"
            yield HostWarning(HostIssue.BGP_FILTERED, text)
        else:
            text = f"a packet filter drops packets of pods that this node forwards: {hit}; `{hit.shown_by}` shows it"
            yield HostWarning(HostIssue.PODS_FILTERED, text)


def _not_forwarding(name: str) -> HostWarning:
    text = f"this host forwards no packets of pods: {name} is 0; to turn it on: sysctl -w {name}=1"
    return HostWarning(HostIssue.FORWARDING_OFF, text)


def _overtaken(first: str, folder: object, installed: str) -> Iterator[HostWarning]:
    if first:
        text = (
            f"another configuration comes first in {folder}: {first}; the container runtime attaches no pod to this"
            f" network ({installed}); remove the file, or give it a name that sorts behind"
        )
        yield HostWarning(HostIssue.OTHER_NETWORK_FIRST, text)


def _without(plugin: object) -> Iterator[HostWarning]:
    if plugin is not None:
        text = (
            f"the container runtime has no plugin {plugin}, so no pod can be attached; felix-install puts it there, as"
            " when this node's pod of felix-py-node is deleted and starts anew"
        )
        yield HostWarning(HostIssue.PLUGIN_MISSING, text)


def _crowded(room: NeighbourRoom) -> HostWarning:
    enough = 1 << (2 * room.needed - 1).bit_length()
    text = (
        f"this host's kernel keeps {room.most:,} neighbours at most ({room.sysctl}), and its pods and the BGP peers on"
        f" its links are {room.needed:,}: packets to some are lost; to keep more: sysctl -w {room.sysctl}={enough}"
    )
    return HostWarning(HostIssue.NEIGHBOUR_TABLE, text)


def cut_off(pods: Iterable[Endpoint], there: Iterable[str]) -> tuple[HostWarning, ...]:
    """Return a sentence on the pods whose device is down, and one on those whose device is not there by its name.

    pods: those whose device is not up. there: the names of all devices.
    """
    without = sorted(pods, key=lambda pod: pod.key)
    names = set(there) if without else set[str]()
    down = [pod for pod in without if pod.device in names]
    gone = [pod for pod in without if pod.device not in names]
    return (*_cut_off(down, "down", _bring_up), *_cut_off(gone, "gone, or has another name", _make_anew))


def _cut_off(pods: list[Endpoint], how: str, cure: Callable[[Endpoint], str]) -> Iterator[HostWarning]:
    if pods:
        named = [f"{pod.device} of pod {pod.key.namespace}/{pod.pod or pod.key.name}" for pod in pods[:MOST_NAMED]]
        more = f" and {len(pods) - MOST_NAMED:,} more" if len(pods) > MOST_NAMED else ""
        text = f"a pod is cut off while its device is {how}: {', '.join(named)}{more}; {cure(pods[0])}"
        yield HostWarning(HostIssue.PODS_CUT_OFF, text)


def _bring_up(pod: Endpoint) -> str:
    return f"to bring it up: ip link set {pod.device} up"


def _make_anew(pod: Endpoint) -> str:
    return f"`felixctl why {pod.key.namespace}/{pod.pod or pod.key.name}` says more; a pod that is made anew has one"
