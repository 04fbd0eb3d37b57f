"""One host per Node: which host a Node is, and how a second one of the same name finds out that the first lives.

Each agent notes its host on its Node. One that starts and finds another host's note puts a claim beside it. The agent
that holds the Node takes the claim away, which is its answer; without an answer within ANSWER_SECONDS the other host is
gone, and the Node is taken over by compare-and-swap. So a Node is written when its host changes, never to say that it
lives. Calico reads neither annotation.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path
from typing import NamedTuple, Self

from datastore.cas import found_or_none
from datastore.errors import Conflict
from datastore.kinds.node import CLAIM, HOST, Node
from datastore.store import Store
from felix_py.files import read_text, write_text

log = logging.getLogger("felix.node_claim")

ANSWER_SECONDS, POLL_SECONDS = 6.0, 0.5
QUESTION = "?"
"""Stands for the host name in a claim of a command that only asks whether the agent lives."""

_BOOT, _NETWORK = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/net")


class HostMark(NamedTuple):
    """A host. installation: kept on its disk, so that clones have the same. run: one boot and network namespace."""

    installation: str
    run: str

    def __str__(self) -> str:
        return f"{self.installation} {self.run}"

    @classmethod
    def of(cls, node: Node) -> Self | None:
        """Return whose a Node is, None if it does not say so, as one of Calico's."""
        match node.metadata.annotations.get(HOST, "").split():
            case [installation, run]:
                return cls(installation, run)
            case _:
                return None


def this_host(state_dir: Path) -> HostMark:
    """Return this host's mark; its installation is made up at the first start."""
    place = state_dir / "host-id"
    if not (installation := read_text(place).strip()):
        installation = secrets.token_hex(8)
        write_text(place, installation)
    return HostMark(installation, f"{read_text(_BOOT).strip()}:{_NETWORK.stat().st_ino}")


def is_this_host(written: HostMark | None, own: HostMark, address_is_here: bool) -> bool:
    """Whether a Node may be written without a question.

    After a boot its address tells the host from a clone of its disk, which has another.
    """
    if written is None or written.run == own.run:
        return True
    return written.installation == own.installation and address_is_here


def marked(node: Node, own: HostMark) -> Node:
    """Return the Node as this host's, without a claim."""
    kept = {key: text for key, text in node.metadata.annotations.items() if key != CLAIM}
    return node.with_metadata(annotations={**kept, HOST: str(own)})


async def is_free(store: Store, held: Node, own: HostMark, now: Callable[[], float]) -> bool:
    """Claim a Node that another host holds; return whether that host is gone, and the Node can be taken over.

    Raises Conflict: the Node was written meanwhile. Raises DatastoreError.
    """
    log.warning(
        "the Node %s is another host's (%s, %s): waiting %g s for an answer from it",
        held.name,
        held.ipv4 or held.ipv6 or "without an address",
        held.metadata.annotations.get(HOST),
        ANSWER_SECONDS,
    )
    unanswered = await _unanswered(store, held.name, f"{socket.gethostname()} {own} {secrets.token_hex(4)}", now)
    match unanswered:
        case Node():
            return await _taken_over(store, unanswered, own)
        case _:
            return unanswered is None


async def answers(store: Store, held: Node, now: Callable[[], float]) -> bool:
    """Ask the agent that holds a Node whether it lives; False: no answer came, or nobody's agent holds it.

    Raises DatastoreError.
    """
    if HostMark.of(held) is None:
        return False
    unanswered = await _unanswered(store, held.name, f"{QUESTION} {secrets.token_hex(4)}", now)
    if isinstance(unanswered, Node):
        await found_or_none(store.patch(Node, held.name, {"metadata": {"annotations": {CLAIM: None}}}))
    return unanswered is ANSWERED


class Answered(Enum):
    """That a claim was taken away."""

    ANSWERED = auto()


ANSWERED = Answered.ANSWERED


async def _unanswered(store: Store, name: str, claim: str, now: Callable[[], float]) -> Node | Answered | None:
    """Put a claim on a Node; return the Node if no answer comes, None if the Node goes away."""
    if await found_or_none(store.patch(Node, name, {"metadata": {"annotations": {CLAIM: claim}}})) is None:
        return None
    end = now() + ANSWER_SECONDS
    while True:
        node = await found_or_none(store.get(Node, name))
        if node is None:
            return None
        if node.metadata.annotations.get(CLAIM) != claim:
            return ANSWERED
        if now() >= end:
            return node
        await asyncio.sleep(POLL_SECONDS)


async def _taken_over(store: Store, claimed: Node, own: HostMark) -> bool:
    """Make a Node this host's as it was read; False: it was written meanwhile, so its host lives."""
    try:
        await store.update(marked(claimed, own))
    except Conflict:
        return False
    log.warning("the Node %s is this host's now: the host that had it does not answer", claimed.name)
    return True


async def answer(store: Store, node: Node, own: HostMark) -> str | None:
    """Answer a claim of another host to this host's Node; return the other's host name, None: there is no claim.

    Raises DatastoreError.
    """
    claim = node.metadata.annotations.get(CLAIM)
    if claim is None or HostMark.of(node) != own:
        return None
    await store.patch(Node, node.name, {"metadata": {"annotations": {CLAIM: None}}})
    return claim.partition(" ")[0]
