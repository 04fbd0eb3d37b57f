"""The records of a first look at an API server, read without the store where all of them are plainly valid.

An event loop and pydantic take longer to load than the API server takes to begin the list of pods.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple

from datastore.kube import pod_message, questions
from datastore.kube.asking import Asking, NoPlainAnswer
from datastore.kube.handle_table import has_columns
from datastore.kube.plain_lists import ArrivingPods, plain_handles, plain_objects, stored_affinity
from datastore.kube.questions import Question
from datastore.plain_claims import plain_core_node, plain_pool
from datastore.summaries import BLOCKS, HANDLES, ODD
from felixctl.ipam.records import IpamRecords
from felixctl.leader import Leader, leader_told

READERS: Mapping[Question, Callable[[bytes], list[Any]]] = {
    questions.HANDLES: partial(plain_objects, read=HANDLES.read),
    questions.HANDLE_TABLE: plain_handles,
    questions.BLOCKS: partial(plain_objects, read=BLOCKS.read),
    questions.AFFINITIES: partial(plain_objects, read=stored_affinity),
    questions.POOLS: partial(plain_objects, read=plain_pool),
    questions.NODES: partial(plain_objects, read=plain_core_node),
}
"""What reads a whole answer. Raises OddObject."""
_NAME = attrgetter("name")


class Cluster(NamedTuple):
    """What an API server has for a check. leader: None: only the store can tell who acts."""

    records: IpamRecords
    leader: Leader | None


def read_api(asking: Asking, namespace: str, now: float) -> Cluster | None:
    """Return what `ask_api` asked for; None: the store is to be asked. now: in seconds since 1970."""
    try:
        return _read(asking, namespace, now)
    except (NoPlainAnswer, *ODD):
        return None
    finally:
        asking.close()


def _read(asking: Asking, namespace: str, now: float) -> Cluster:
    """Raises NoPlainAnswer, and one of ODD. Blocks, pools and nodes come by name, as they are printed."""
    pod_message.load()
    pods = ArrivingPods()
    parts: dict[Question, list[bytes]] = defaultdict(list)
    found: dict[Question, list[Any]] = {}
    leader: Leader | None = None
    for question, status, part in asking.arrivals():
        if part or question == questions.PODS:
            take = pods.feed if question == questions.PODS else parts[question].append
            take(part)
            continue
        body = b"".join(parts.pop(question, ()))
        if question == questions.HANDLE_TABLE and not has_columns(body):
            asking.ask(questions.HANDLES)
        elif question in READERS:  # while more of the pods is on its way
            found[question] = READERS[question](body)
        else:
            leader = leader_told(status, body, namespace, now)
    records = IpamRecords(
        blocks=sorted(found[questions.BLOCKS], key=_NAME),
        pools=sorted(found[questions.POOLS], key=_NAME),
        nodes=sorted(found[questions.NODES], key=_NAME),
        endpoints=pods.end(),
        handles=next(found[one] for one in (questions.HANDLE_TABLE, questions.HANDLES) if one in found),
        affinities=found[questions.AFFINITIES],
    )
    return Cluster(records, leader)
