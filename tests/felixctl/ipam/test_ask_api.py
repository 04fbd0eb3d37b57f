"""Whom a check asks before it imports what reads the answers, which tests/kube/test_first_look.py looks at."""

from __future__ import annotations

from pathlib import Path

import pytest

from datastore.kube import questions
from felixctl.datastore_choice import RefusedUrl
from felixctl.errors import CommandError
from felixctl.ipam.ask_api import ask_api
from tests.datastore.kube.test_asking import answers, bodies_of, serving
from tests.datastore.kube.test_plain_access import config, written

BODIES = {
    question: question.path.encode()
    for question in (
        *(questions.PODS, questions.HANDLE_TABLE, questions.BLOCKS, questions.AFFINITIES, questions.POOLS),
        *(questions.NODES, questions.lease("apart")),
    )
}


def test_an_api_server_is_asked_for_all_that_a_check_looks_at(tmp_path: Path) -> None:
    with serving(tmp_path, answers(BODIES)) as (server, access):
        path = written(tmp_path, config(tmp_path, {"server": f"https://127.0.0.1:{access.port}/k"}))
        asking = ask_api(f"kubernetes://{path}", "apart")
        assert asking
        found = bodies_of([*asking.arrivals()])
        asking.close()
        assert ask_api(f"kubernetes://{path}?group=projectcalico.org/v3", "apart") is None
    assert found == {question: (200, body) for question, body in BODIES.items()}
    assert len(server.requests) == len(BODIES)


@pytest.mark.parametrize(
    "url", ["sqlite:///none/cluster.db", "nothing", RefusedUrl.of(CommandError("no such file")), "kubernetes:///none"]
)
def test_what_only_the_store_can_ask_is_not_asked(url: str) -> None:
    assert ask_api(url, "kube-system") is None
