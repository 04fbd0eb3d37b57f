"""The text of `felixctl node status --all`: first the counts, then whatever is wrong anywhere, in full.

What the agents answered is handed in; only a terminal gets colours.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from datastore.notices import Notice
from felix_py.status.status_json import to_json
from felix_py.status_model import NodeSummary
from felixctl.errors import bounded
from felixctl.leader import Leader
from felixctl.node.status import section
from felixctl.tables import plain
from felixctl.terminal import Colour, painted
from net.printable import one_line

MOST_IN_TABLE = 50
"""Of more nodes only those with something wrong are shown."""
MOST_NAMED = 5
HEADING = ("NODE", "READY", "SESSIONS", "PODS", "BLOCKS", "VERSION")


class AllNodes(Struct, frozen=True):
    """What the agents of a cluster answered. unasked: why a node's agent gave no answer, by node."""

    leader: Leader
    summaries: Sequence[NodeSummary] = ()
    unasked: Mapping[str, str] = field(default_factory=dict)


def as_json(found: AllNodes) -> dict[str, Any]:
    """Return it for programs."""
    return {
        "counts": _counts(found),
        "controller": found.leader.to_json(),
        "nodes": [to_json(one) for one in found.summaries],
        "unasked": [{"node": node, "reason": reason} for node, reason in sorted(found.unasked.items())],
    }


def report(found: AllNodes) -> Iterator[str]:
    """Yield pieces of text: counts, a table where there are few nodes, and what is wrong."""
    yield from _summary(found)
    if len(found.summaries) <= MOST_IN_TABLE:
        rows = map(_row, sorted(found.summaries, key=lambda one: one.node))
        yield "\n" + plain(HEADING, rows).removesuffix("\n")
    yield "\n"
    for title, lines, colour in (
        ("Could not be asked", _grouped(found.unasked), Colour.BAD),
        ("Wrong", _wrong(found.summaries), Colour.BAD),
        ("Accepted and not obeyed", _notices(found.summaries), Colour.DOUBTFUL),
    ):
        yield from section(title, bounded(list(lines)), colour)


def _counts(found: AllNodes) -> dict[str, int]:
    """Return how many there are of each thing, and on how many nodes something is wrong."""
    return {
        "nodes": len(found.summaries) + len(found.unasked),
        "answered": len(found.summaries),
        "ready": sum(one.ready for one in found.summaries),
        "wrong": sum(one.problem_count > 0 for one in found.summaries),
        "sessions": sum(one.sessions for one in found.summaries),
        "sessions_up": sum(one.sessions_up for one in found.summaries),
        "sessions_held_back": sum(one.sessions_held_back for one in found.summaries),
        "pods": sum(one.pods for one in found.summaries),
        "blocks": sum(one.blocks for one in found.summaries),
    }


def _summary(found: AllNodes) -> Iterator[str]:
    counts, versions = _counts(found), Counter(one.version for one in found.summaries)
    down = counts["sessions"] - counts["sessions_up"] - counts["sessions_held_back"]
    good = counts["ready"] == counts["nodes"] and not counts["wrong"]
    yield painted(
        f"{counts['nodes']:,} nodes: {counts['answered']:,} answered, {counts['ready']:,} are ready, on"
        f" {counts['wrong']:,} something is wrong.",
        Colour.GOOD if good else Colour.BAD,
    )
    yield f"\n{counts['sessions']:,} sessions: {counts['sessions_up']:,} up, {down:,} down,"
    yield f" {counts['sessions_held_back']:,} held back.\n{counts['pods']:,} pods, {counts['blocks']:,} blocks.\n"
    if versions:
        of = ", ".join(f"{version} on {count:,}" for version, count in versions.most_common())
        yield one_line(f"felix-py {of}.") + "\n"
    yield painted(one_line(f"{found.leader.sentence}.") + "\n", found.leader.colour)


def _row(one: NodeSummary) -> tuple[str, ...]:
    ready, sessions = "yes" if one.ready else "no", f"{one.sessions_up}/{one.sessions}"
    return one.node, ready, sessions, str(one.pods), str(one.blocks), one.version


def _grouped(unasked: Mapping[str, str]) -> Iterator[str]:
    """Yield each reason with the nodes that have it, the most frequent first."""
    nodes: defaultdict[str, list[str]] = defaultdict(list)
    for node, reason in sorted(unasked.items()):
        nodes[reason].append(node)
    for reason, named in sorted(nodes.items(), key=lambda item: -len(item[1])):
        yield f"{_named(named)}: {reason}"


def _wrong(summaries: Iterable[NodeSummary]) -> Iterator[str]:
    for one in sorted(summaries, key=lambda one: one.node):
        yield from (f"{one.node}: {text}" for text in one.problems)
        if (more := one.problem_count - len(one.problems)) > 0:
            yield f"{one.node}: and {more:,} more: felixctl node status --node {one.node}"


def _notices(summaries: Iterable[NodeSummary]) -> Iterator[str]:
    """Yield each notice once, with the nodes that have it, the most frequent first."""
    nodes: defaultdict[Notice, list[str]] = defaultdict(list)
    unlisted = 0
    for one in summaries:
        unlisted += one.notice_count - len(one.notices)
        for notice in one.notices:
            nodes[notice].append(one.node)
    for notice, named in sorted(nodes.items(), key=lambda item: (-len(item[1]), item[0])):
        yield f"{notice} (on {_named(sorted(named))})"
    if unlisted:
        yield f"and {unlisted:,} more: felixctl node status --node NODE"


def _named(nodes: Sequence[str]) -> str:
    more = len(nodes) - MOST_NAMED
    return ", ".join(nodes[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
