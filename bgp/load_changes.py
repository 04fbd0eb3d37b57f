"""What ExaBGP has loaded beside what is configured: whether a load is needed, or would end a session in vain, and what
it changes.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from bgp.speaker import ImportPolicy, LocalNode, Neighbour, Speaker

_SETTINGS = {
    "local_address": "address of this node",
    "peer_as": "AS number of the peer",
    "local_as": "AS number of this node",
    "passive": "end that dials",
    "families": "set of families",
    "port": "port",
    "password": "password",
    "hold_time": "hold time",
    "restart_time": "restart time",
    "ttl_hops": "TTL",
}
"""What ExaBGP reads of a session, beside the peer's address by which it is known."""


def exabgps_part(speaker: Speaker) -> Speaker:
    """Return the speaker without what ExaBGP does not need to know: a change of that is no reload."""
    neighbours = tuple(
        replace(neighbour, kind="mesh", is_node=True, import_policy=ImportPolicy()) for neighbour in speaker.neighbours
    )
    return replace(speaker, neighbours=neighbours, local=LocalNode(0, speaker.router_id), held_back=())


def changing(loaded: Speaker | None, latest: Speaker | None) -> dict[str, str]:
    """Return what becomes, with the next load, of each session that ExaBGP has otherwise than it is wanted by now.

    loaded: as `exabgps_part` returns it.
    """
    if loaded is None or latest is None or loaded.neighbours == (wanted := exabgps_part(latest).neighbours):
        return {}
    known = {neighbour.address: neighbour for neighbour in loaded.neighbours}
    return {
        each.address: f"it is about to come up anew with another {' and another '.join(differing)}"
        for each in wanted
        if each.address in known and (differing := tuple(_differing(known[each.address], each)))
    }


def _differing(one: Neighbour, other: Neighbour) -> Iterator[str]:
    """Yield which settings of a session differ, in words."""
    for field, words in _SETTINGS.items():
        if getattr(one, field) != getattr(other, field):
            yield words


def ends_in_vain(loaded: Speaker | None, checked: Speaker, latest: Speaker | None) -> bool:
    """Whether what was checked would end a session that ExaBGP has as the latest configuration wants it.

    The first two as `exabgps_part` returns them.
    """
    if loaded is None or latest is None:
        return False
    ended = set(loaded.neighbours) - set(checked.neighbours)
    return not ended.isdisjoint(exabgps_part(latest).neighbours)
