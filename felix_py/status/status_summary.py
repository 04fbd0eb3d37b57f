"""What of a node's status is looked at first, where there are thousands of nodes.

Pure.
"""

from __future__ import annotations

from felix_py.status.problems import Trouble, problems
from felix_py.status_model import AgentStatus, NodeSummary

MOST_LISTED = 10
"""Of problems and of notices, so that a summary stays small on a node with thousands of sessions."""


def summary_of(status: AgentStatus) -> NodeSummary:
    """Return how many of each thing a node has, and the first of what is wrong and of what is not obeyed."""
    wrong = [one.text for one in problems(status) if one.trouble is not Trouble.NOTICE]
    return NodeSummary(
        node=status.node,
        version=status.version,
        ready=status.ready,
        pods=len(status.pods),
        blocks=len(status.blocks),
        sessions=len(status.peers),
        sessions_up=sum(peer.is_up for peer in status.peers),
        sessions_held_back=sum(peer.is_held_back for peer in status.peers),
        problems=tuple(wrong[:MOST_LISTED]),
        problem_count=len(wrong),
        notices=status.notices[:MOST_LISTED],
        notice_count=len(status.notices),
    )
