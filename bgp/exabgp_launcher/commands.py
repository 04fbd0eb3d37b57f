"""How ExaBGP works off the commands that the sidecar gives it, for which peers, and at which cost for each."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bgp.exabgp_launcher.replacement import ReplacedFunction, Replacement

COMMANDS_SECONDS = 0.005  # commands worked off per turn of the loop


def replacements() -> list[Replacement]:
    from exabgp.bgp.neighbor import Neighbor
    from exabgp.reactor.api.command import announce
    from exabgp.reactor.asynchronous import ASYNC

    return [
        ReplacedFunction(ASYNC, "run", ("self",), run_commands),
        ReplacedFunction(announce, "match_neighbors", ("peers", "descriptions"), find_peers),
        ReplacedFunction(Neighbor, "remove_self", ("self", "changes"), copy_prefix_only(Neighbor.remove_self)),
    ]


def run_commands(asynchronous: Any) -> bool:
    """ASYNC.run that works commands off for some milliseconds instead of fifty steps; all of them are generators.

    As released it makes an event loop of asyncio each time, for coroutines that ExaBGP has none of.
    """
    from exabgp.logger import log

    deadline = time.monotonic() + COMMANDS_SECONDS
    asynchronous.felix_ran = bool(asynchronous._async) or getattr(asynchronous, "felix_ran", False)
    while asynchronous._async and time.monotonic() < deadline:
        uid, callback = asynchronous._async.popleft()
        try:
            for _ in callback:
                if time.monotonic() >= deadline:
                    asynchronous._async.appendleft((uid, callback))
                    return True
        except Exception as exc:
            failure = f"async | {uid} | {exc}"
            log.error(lambda failure=failure: failure, "reactor")
            asynchronous._notify_error(uid)
    return bool(asynchronous._async)


def find_peers(peers: Iterable[str], descriptions: Sequence[Sequence[str]]) -> list[str]:
    """Return the names of the peers that a command is for, each described by `neighbor ADDRESS`; all if by nothing.

    As released each name is searched for each description, which is most of what it costs to tell each of many peers
    the end of our routes; and one that is not among `peers` any more, not configured or not up, is passed over in
    silence. Who that is among others is logged; a command that is for nobody is answered with an error.
    """
    from exabgp.logger import log

    if not descriptions:
        return list(peers)
    described = {description[0] for description in descriptions}
    by_description = {name: " ".join(name.split(" ", 2)[:2]) for name in peers}
    found = [name for name, description in by_description.items() if description in described]
    missing = described.difference(by_description.values())
    if found and missing:
        names = ", ".join(sorted(missing))
        text = f"{names}: not configured, or not up; of a command for {len(described)} sessions they get nothing"
        log.error(lambda: text, "api")
    return found


def copy_prefix_only(released: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return Neighbor.remove_self that copies of an announcement what differs from peer to peer, the prefix.

    As released it copies attributes and all, deeply, for every peer: half of the time an announcement takes.
    """

    def remove_self(neighbor: Any, change: Any) -> Any:
        if change.nlri.nexthop.SELF:
            return released(neighbor, change)
        return type(change)(copy.copy(change.nlri), change.attributes)

    return remove_self
