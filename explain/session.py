"""Over which BGP session was a route learned, or why was it not?

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from msgspec.structs import replace

from explain.address import get_pool
from explain.facts import Leg
from explain.filters import cut_off_session
from explain.step import Command, Step, StepState
from felix_py.status_model import NodeTrace, RouteStatus, SessionStatus


def learned_from(leg: Leg, trace: NodeTrace, route: RouteStatus) -> Iterator[Step]:
    """Yield the sessions with the peers that a learned route came from."""
    for peer in route.peers:
        session = _session_with(trace, peer)
        if session is None:
            problem = "" if trace.sidecar.connected else f" (the BGP sidecar is away: {_sidecar_problem(trace)})"
            yield leg.step(trace.node, "session", StepState.DOUBTFUL, f"learned from {peer}, no session known{problem}")
        elif session.is_up:
            text = f"learned over the session with {peer}, up {_since(session)}"
            yield leg.step(trace.node, "session", StepState.OK, text)
        else:
            text = f"learned over the session with {peer}, which is away {_since(session)}: {_info(session)}"
            effect = f"{session.stale} routes of it are kept until it is back or its restart time is over"
            inspect = Command(trace.node, "felixctl node status")
            yield leg.step(trace.node, "session", StepState.DOUBTFUL, text, effect, inspect)
        if cut_off := _cut_off(leg, trace, peer):
            yield cut_off


def _other_end(leg: Leg, peer: str) -> NodeTrace | None:
    return leg.facts.traces.get(leg.facts.records.node_of(peer) or "")


def _cut_off_there(leg: Leg, there: NodeTrace, node: str) -> Iterator[Step]:
    """Yield whether the other end's packet filters cut off its session with a node."""
    for address in leg.facts.records.nodes.get(node, ()):
        if cut_off := cut_off_session(leg, there, address):
            yield cut_off


def not_learned(leg: Leg, trace: NodeTrace, effect: str) -> Step:
    """Return why a node has no route to what another node has: its session with that node, or what is announced.

    effect: what happens to the packet for want of the route.
    """
    node, goal, records = trace.node, leg.goal.node, leg.facts.records
    inspect = Command(node, "felixctl node status")
    block = records.block_of(leg.goal.address)
    network = str(block.prefix) if block and block.owner == goal else leg.goal.address
    session = _session_with_node(leg, trace, goal)
    if not trace.sidecar.connected:
        text = f"the BGP sidecar is away ({_sidecar_problem(trace)}), and {network} was not learned before"
    elif not goal:
        text = f"no route to {leg.goal.address}, and no node has claimed a block with it"
        inspect = Command("", "felixctl ipam show --show-blocks")
        return leg.step(node, "route", StepState.BROKEN, text, effect, inspect)
    elif session is None:
        text = f"no BGP session with {goal} is configured, so {network} is not learned"
        if not records.mesh:
            text += ": the mesh is off (nodeToNodeMeshEnabled), and no BGPPeer names it"
            inspect = Command("", "felixctl get bgpconfiguration,bgppeer -o wide")
        text += "".join(f"; {clause}" for clause in refused_by(trace))
    elif session.is_held_back:
        text = f"the BGP session with {goal} ({session.address}) is held back: {session.info}"
        effect = f"{network} is not learned, so {effect}"
    elif not session.is_up and (cut_off := _cut_off(leg, trace, session.address)):
        text = f"{network} is not learned, as the session with {goal} is down {_since(session)}: {cut_off.text}"
        return replace(cut_off, text=text, effect=effect)
    elif not session.is_up:
        reason = _down_reason(leg, session)
        text = f"the BGP session with {goal} ({session.address}) is down {_since(session)}: {reason}"
        effect = f"{network} is not learned, so {effect}"
    else:
        return _not_announced(leg, trace, session, network, effect)
    return leg.step(node, "session", StepState.BROKEN, text, effect, inspect)


def _cut_off(leg: Leg, trace: NodeTrace, peer: str) -> Step | None:
    """Return the packet filter, at either end, that cuts off a node's session with a peer."""
    there = _other_end(leg, peer)
    found = cut_off_session(leg, trace, peer)
    return found or next(_cut_off_there(leg, there, trace.node), None) if there else found


def _not_announced(leg: Leg, trace: NodeTrace, session: SessionStatus, network: str, effect: str) -> Step:
    """Return why a session that is up did not bring a network of its other end."""
    goal, pool = leg.goal.node, leg.facts.records.pool_of(leg.goal.address)
    there = leg.facts.traces.get(goal)
    inspect = "felixctl node status -o json"
    if pool and not pool.exported:
        text = f"{goal} does not announce {network}: pool {pool.name} has disableBGPExport"
        return leg.step(goal, "announcement", StepState.BROKEN, text, effect, get_pool(pool))
    if there and not there.announced:
        text = f"{goal} does not announce {network}, though the session with {trace.node} is up"
        return leg.step(goal, "announcement", StepState.BROKEN, text, effect, Command(goal, inspect))
    refused = _refused(session)
    rejected = f"; it has refused {refused} routes of this peer{_reasons(session)}" if refused else ""
    text = f"{network} was not learned from {goal}, though the session with {session.address} is up{rejected}"
    return leg.step(trace.node, "session", StepState.BROKEN, text, effect, Command(trace.node, inspect))


def refused_by(trace: NodeTrace) -> Iterator[str]:
    """Yield what a node has refused of each peer, and why."""
    for peer in trace.peers:
        if refused := _refused(peer):
            yield f"{trace.node} has refused {refused} routes of {peer.address}{_reasons(peer)}"


def _refused(session: SessionStatus) -> int:
    return sum(session.refused.values())


def _reasons(session: SessionStatus) -> str:
    return f" ({'; '.join(sorted(session.refused))})"


def _down_reason(leg: Leg, session: SessionStatus) -> str:
    """Return why a session is down. Two AS numbers that do not match say more than how it ended."""
    goal = leg.goal.node
    there = leg.facts.traces.get(goal)
    own = there.as_number if there else None
    if own and session.as_number and own != session.as_number:
        return f"wrong AS, {goal} is AS {own} and AS {session.as_number} is configured for it"
    return _info(session)


def _session_with(trace: NodeTrace, address: str) -> SessionStatus | None:
    return next((session for session in trace.peers if session.address == address), None)


def _session_with_node(leg: Leg, trace: NodeTrace, node: str) -> SessionStatus | None:
    """Return the session with a node, at its address of the goal's family."""
    for address in leg.facts.records.nodes.get(node, ()):
        if (":" in address) == (leg.goal.version == 6) and (session := _session_with(trace, address)):
            return session
    return None


def _info(session: SessionStatus) -> str:
    return session.last_error or session.info or "no reason is known"


def _sidecar_problem(trace: NodeTrace) -> str:
    return trace.sidecar.problem or "it does not answer"


def _since(session: SessionStatus) -> str:
    """Return since when a session is in its state, in local time."""
    if session.since is None:
        return "since an unknown time"
    return f"since {datetime.fromtimestamp(session.since):%Y-%m-%d %H:%M:%S}"  # noqa: DTZ006
