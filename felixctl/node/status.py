"""The text of `felixctl node status`: the agent, its BGP sessions as calicoctl lists them, and what is wrong.

The status is handed in; only a terminal gets colours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from bgp.annotations import PREFIX_LIMIT
from datastore.notices import Notice
from felix_py.status_model import AgentStatus, InvariantReport, SessionStatus
from felixctl.tables import bordered
from felixctl.terminal import Colour, painted
from net.printable import one_line

HEADING = ("Peer address", "Peer type", "State", "Since", "Info", "Learned", "Announced", "Refused")
DAY_SECONDS = 24 * 3600
NEAR_LIMIT = 0.75

_KINDS = {"mesh": "node-to-node mesh", "node": "node specific", "global": "global"}


def report(status: AgentStatus, now: float) -> Iterator[str]:
    """Yield pieces of `node status`: the agent, a table of sessions for each family, and what is wrong."""
    peers = sorted(status.peers, key=lambda peer: peer.address)  # as text, as Calico lists them
    yield from _agent(status)
    yield "\n"
    none = "No IPv{} peers found." if status.sidecar.connected else "The IPv{} sessions are not known."
    yield from _family(4, [peer for peer in peers if ":" not in peer.address], none, now)
    yield from _family(6, [peer for peer in peers if ":" in peer.address], none, now)
    yield from section("Problems of this host", map(str, status.progress.in_the_way), Colour.BAD)
    refused = (f"{prefix}: {reason}" for prefix, reason in status.refused_routes.items())
    yield from section("Routes refused by the kernel", refused, Colour.BAD)
    down = (f"{tunnel.device}: {tunnel.problem}" for tunnel in status.tunnels.values() if tunnel.problem)
    yield from section("Tunnels that are not as pools want them", down, Colour.BAD)
    yield from _held_back(peers)
    yield from _refused(peers)
    yield from _near_limits(peers)
    yield from _not_obeyed(status.notices)
    yield from _invariants(status.invariants)


def _agent(status: AgentStatus) -> Iterator[str]:
    own_as = f", AS {status.as_number}" if status.as_number else ""
    yield f"felix-py {status.version}".strip() + f" is running on {one_line(status.node)}{own_as}.\n"
    if not status.ready:
        reasons = "; ".join(status.progress.missing)
        yield from _line(f"It is not ready, and no pod can be attached: {reasons}.", Colour.DOUBTFUL)
    if status.progress.locked:
        yield from _line(f"The datastore is locked: {status.progress.locked}.", Colour.DOUBTFUL)
    if not status.sidecar.connected:
        problem = status.sidecar.problem or "it is not connected"
        yield from _line(f"Its BGP sidecar does not answer: {problem}.", Colour.BAD)
    elif status.sidecar.problem:
        yield from _line(f"Its BGP sidecar reports: {status.sidecar.problem}.", Colour.BAD)


def _line(text: str, colour: Colour | None) -> tuple[str, str]:
    return painted(one_line(text), colour), "\n"


def _family(version: int, peers: Sequence[SessionStatus], none: str, now: float) -> Iterator[str]:
    """none: what is said where there are no peers."""
    yield f"IPv{version} BGP status\n"
    if not peers:
        yield f"{none.format(version)}\n\n"
        return
    table = bordered(HEADING, (_row(peer, now) for peer in peers))
    # Each session's line is green or red: rows stand behind rule, heading and rule.
    colours = {3 + index: Colour.GOOD if peer.is_up else Colour.BAD for index, peer in enumerate(peers)}
    for number, line in enumerate(table.split("\n")[:-1]):
        yield from _line(line, colours.get(number))
    yield "\n"


def _row(peer: SessionStatus, now: float) -> tuple[str, ...]:
    return (
        peer.address,
        _KINDS.get(peer.kind, peer.kind),
        peer.state,
        since(peer.since, now),
        _info(peer),
        str(peer.learned),
        str(peer.announced),
        str(sum(peer.refused.values())),
    )


def _info(peer: SessionStatus) -> str:
    if peer.is_held_back:
        return "see below"
    return f"{peer.info}; {peer.stale} routes stale" if peer.stale else peer.info


def since(moment: float | None, now: float) -> str:
    """Return the local time of day of a moment within the last day, and the date of an earlier one."""
    if moment is None:
        return ""
    return datetime.fromtimestamp(moment).strftime("%H:%M:%S" if now - moment < DAY_SECONDS else "%Y-%m-%d")  # noqa: DTZ006


def _held_back(peers: Iterable[SessionStatus]) -> Iterator[str]:
    lines = (f"{peer.address}: {peer.info}" for peer in peers if peer.is_held_back)
    return section("Sessions held back", lines, Colour.BAD)


def _refused(peers: Iterable[SessionStatus]) -> Iterator[str]:
    lines = (f"{peer.address}: {count}, {reason}" for peer in peers for reason, count in sorted(peer.refused.items()))
    return section("Routes refused from peers", lines, Colour.DOUBTFUL)


def _near_limits(peers: Iterable[SessionStatus]) -> Iterator[str]:
    lines = (
        f"{peer.address}: {used} of {peer.limits[of]} {of}"
        for peer in peers
        for of, used in peer.used.items()
        if of in peer.limits and used >= NEAR_LIMIT * peer.limits[of]
    )
    return section(f"Near a limit of the peer (annotation {PREFIX_LIMIT})", lines, Colour.DOUBTFUL)


def _not_obeyed(notices: Iterable[Notice]) -> Iterator[str]:
    return section("Accepted and not obeyed", map(str, notices), Colour.DOUBTFUL)


def section(title: str, lines: Iterable[str], colour: Colour) -> Iterator[str]:
    """Yield lines under a title; nothing if there are none."""
    found = list(lines)
    if found:
        yield f"{title}:\n"
        for line in found:
            yield from _line(f"  {line}", colour)
        yield "\n"


def _invariants(report: InvariantReport) -> Iterator[str]:
    for violation in report.violated:
        yield from _line(f"Violated: invariant {violation.number}, {violation.text}", Colour.BAD)
    if report.checked and not report.violated:
        yield from _line(f"{report.checked} invariants hold.", Colour.GOOD)
