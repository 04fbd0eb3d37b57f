"""What of a host keeps pods' packets from their way, or pods from this network, as sentences with their cure.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from felix_py.status_model import Filtered, FilteredTraffic


def warnings(
    found: Iterable[Filtered],
    not_forwarding: Iterable[str],
    first_configuration: str,
    folder: object,
    installed: str,
    missing_plugin: object = None,
) -> tuple[str, ...]:
    """Return the sentences, each once.

    not_forwarding: the sysctls of forwarding that are off, though there are pods of their family.
    first_configuration: another network's file that sorts before ours, "" = there is none; folder: where it is;
    installed: our file. missing_plugin: where our plugin is to be, and is not.
    """
    off = (
        f"this host forwards no packets of pods: {name} is 0; to turn it on: sysctl -w {name}=1"
        for name in not_forwarding
    )
    overtaken = _overtaken(first_configuration, folder, installed)
    return tuple(dict.fromkeys([*_filters(found), *off, *overtaken, *_without(missing_plugin)]))


def _filters(found: Iterable[Filtered]) -> Iterator[str]:
    dropped = [(one, one.outcome.dropped) for one in found]
    for one, hit in dropped:
        if hit is None:
            continue
        if one.traffic is FilteredTraffic.BGP:
            accept = hit.accept_port(one.port)
            yield f"a packet filter drops BGP (port {one.port}) with {one.destination}: {hit}; to accept it: {accept}"
        else:
            yield f"a packet filter drops packets of pods that this node forwards: {hit}; `{hit.shown_by}` shows it"


def _overtaken(first: str, folder: object, installed: str) -> Iterator[str]:
    if first:
        yield (
            f"another configuration comes first in {folder}: {first}; the container runtime attaches no pod to this"
            f" network ({installed}); remove the file, or give it a name that sorts behind"
        )


def _without(plugin: object) -> Iterator[str]:
    if plugin is not None:
        yield (
            f"the container runtime has no plugin {plugin}, so no pod can be attached; felix-install puts it there, as"
            " when this node's pod of felix-py-node is deleted and starts anew"
        )
