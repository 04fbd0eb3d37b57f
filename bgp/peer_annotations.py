"""What annotations of ours say about what a peer may send: those of its BGPPeer, else of BGPConfiguration `default`.

Pure. For the agent and felixctl only: it reads pydantic resources, which the sidecar's process does without.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bgp.annotations import ACCEPT_DEFAULT_ROUTE, ACCEPT_INSIDE_SUBNET, PREFIX, PREFIX_LIMIT
from bgp.speaker import DEFAULT_PREFIX_LIMIT, ImportPolicy
from datastore.field_rules import NotObeyed, notice_of
from datastore.kinds.bgp import BGPConfiguration, BGPPeer
from datastore.notices import Notice

MOST_PREFIXES = 10_000_000

_SWITCHES = {"true": True, "false": False}
_NO_SWITCH = NotObeyed('the value is neither "true" nor "false"', "it counts as false")
_NO_LIMIT = NotObeyed(f"the value is no number from 1 to {MOST_PREFIXES}", "it counts as absent")
UNKNOWN = NotObeyed("this version does not know the annotation", "it has no effect")


def import_policy(peer: BGPPeer | None, configuration: BGPConfiguration | None) -> ImportPolicy:
    """Return what the peers of a BGPPeer may send, or those of the mesh (None)."""
    general = {} if configuration is None else configuration.metadata.annotations
    said: Mapping[str, str] = {**general, **({} if peer is None else peer.metadata.annotations)}
    return ImportPolicy(
        prefix_limit=_limit(said.get(PREFIX_LIMIT, "")) or DEFAULT_PREFIX_LIMIT,
        own_as_allowed=0 if peer is None else peer.spec.num_allowed_local_as_numbers or 0,
        default_route=_switch(said.get(ACCEPT_DEFAULT_ROUTE, "")) or False,
        inside_subnet=_switch(said.get(ACCEPT_INSIDE_SUBNET, "")) or False,
    )


def annotation_notices(resource: BGPPeer | BGPConfiguration) -> Iterator[Notice]:
    """Yield a notice for each annotation of ours that cannot be obeyed."""
    for name, value in resource.metadata.annotations.items():
        if name == PREFIX_LIMIT:
            rule = None if _limit(value) is not None else _NO_LIMIT
        elif name in (ACCEPT_DEFAULT_ROUTE, ACCEPT_INSIDE_SUBNET):
            rule = None if _switch(value) is not None else _NO_SWITCH
        else:
            rule = UNKNOWN if name.startswith(PREFIX) else None
        if rule is not None:
            yield notice_of(resource, f"metadata.annotations[{name}]", rule)


def _switch(value: str) -> bool | None:
    return _SWITCHES.get(value.strip().lower())


def _limit(value: str) -> int | None:
    text = value.strip()
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
    return number if 1 <= number <= MOST_PREFIXES else None
