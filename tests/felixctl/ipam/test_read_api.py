"""What a first look makes of an API server's answers; tests/kube/test_first_look.py has a real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from datastore.kube import questions
from datastore.kube.asking import Asking
from datastore.kube.questions import Question
from felixctl.ipam.read_api import Cluster, read_api
from tests.datastore.kube.test_asking import answers, serving
from tests.datastore.kube.test_handle_table import ROW, table
from tests.datastore.kube.test_list_message import message
from tests.datastore.kube.test_plain_lists import page, pod, pool

NAMESPACE = "apart"
HANDLE = {"metadata": {"name": "h", "resourceVersion": "7"}, "spec": {"handleID": "H", "block": {"10.65.0.0/26": 1}}}
BODIES = {
    questions.HANDLE_TABLE: table(ROW),
    questions.PODS: message(pod("a"), pod("b", address="10.65.0.2")),
    questions.BLOCKS: page(),
    questions.AFFINITIES: page(),
    questions.POOLS: page(pool("z", cidr="10.66.0.0/16"), pool("a", cidr="10.65.0.0/16")),
    questions.NODES: page({"metadata": {"name": "n1"}}),
    questions.lease(NAMESPACE): b"",
}


def seen(folder: Path, bodies: dict[Question, bytes]) -> Cluster | None:
    """Return what a first look makes of these answers, in which one may be missing."""
    with serving(folder, answers(bodies)) as (_, access):
        return read_api(Asking(access, (*BODIES,)), NAMESPACE, 0.0)


def test_of_a_definition_that_is_ours_handles_are_read_from_a_table(tmp_path: Path) -> None:
    found = seen(tmp_path, BODIES)
    assert found and [one.name for one in found.records.handles] == [ROW[0]]
    assert [one.name for one in found.records.pools] == ["a", "z"]
    assert {one.spec.pod for one in found.records.endpoints} == {"a", "b"}
    assert found.leader is None  # a Lease of nothing
    none = seen(tmp_path, BODIES | {questions.HANDLE_TABLE: table()})
    assert none and none.records.handles == []


def test_of_calicos_definition_they_are_read_from_the_objects(tmp_path: Path) -> None:
    found = seen(
        tmp_path,
        BODIES | {questions.HANDLE_TABLE: table(columns=("Name", "Age")), questions.HANDLES: page(HANDLE)},
    )
    assert found and [(one.name, one.spec.handle_id, one.spec.block) for one in found.records.handles] == [
        ("h", "H", {"10.65.0.0/26": 1})
    ]


@pytest.mark.parametrize("question", [one for one in BODIES if one != questions.lease(NAMESPACE)])
def test_without_one_of_the_answers_the_store_is_asked(tmp_path: Path, question: Question) -> None:
    assert seen(tmp_path, {one: body for one, body in BODIES.items() if one != question}) is None


@pytest.mark.parametrize("question", [one for one in BODIES if one != questions.lease(NAMESPACE)])
def test_where_one_of_the_answers_is_odd_the_store_is_asked(tmp_path: Path, question: Question) -> None:
    assert seen(tmp_path, BODIES | {question: b'{"items": [{}], "rows": 7'}) is None
