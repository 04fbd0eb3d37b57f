"""What of a host keeps pods' packets from their way, or pods from this network, as sentences with their cure.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from felix_py.status_model import Filtered, FilteredTraffic


def warnings(found: Iterable[Filtered], first_configuration: str, folder: object, installed: str) -> tuple[str, ...]:
    """Return the sentences, each once.

    first_configuration: another network's file that sorts before ours, "" = there is none; folder: where it is;
    installed: our file.
    """
    return tuple(dict.fromkeys([*_filters(found), *_overtaken(first_configuration, folder, installed)]))


def _filters(found: Iterable[Filtered]) -> Iterator[str]:
    dropped = [(one, one.outcome.dropped) for one in found]
    for one, hit in dropped:
        if hit is None:
            continue
        if one.traffic is FilteredTraffic.BGP:
            accept = hit.accept(nft="tcp dport 179", iptables="-p tcp --dport 179")
            yield f"a packet filter drops BGP (port 179) with {one.destination}: {hit}; to accept it: {accept}"
        else:
            yield f"a packet filter drops packets of pods that this node forwards: {hit}; `{hit.shown_by}` shows it"


def _overtaken(first: str, folder: object, installed: str) -> Iterator[str]:
    if first:
        yield (
            f"another configuration comes first in {folder}: {first}; the container runtime attaches no pod to this"
            f" network ({installed}); remove the file, or give it a name that sorts behind"
        )
