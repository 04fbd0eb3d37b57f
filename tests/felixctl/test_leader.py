"""What a Lease says of who leads, without its kind; tests/felixctl/test_read_leader.py has the sentences."""

from __future__ import annotations

import json

import pytest

from datastore.kinds.lease import Lease
from felixctl.leader import Leader, PlainLease, is_settled, leader_told, looks_fresh
from tests.felixctl.test_read_leader import NOW, lease


def test_a_time_that_cannot_be_read_is_not_fresh() -> None:
    assert looks_fresh(lease("a", NOW - 15), NOW)
    assert not looks_fresh(lease("a", NOW - 16), NOW)
    assert not looks_fresh(lease("a", NOW).with_spec(renew_time="yesterday"), NOW)
    assert not looks_fresh(lease("a", NOW).with_spec(renew_time=None), NOW)


def told(status: int, found: Lease | str) -> Leader | None:
    text = found if isinstance(found, str) else json.dumps(found.to_json())
    return leader_told(status, text.encode(), "kube-system", NOW)


@pytest.mark.parametrize("held", [lease("c-1_uuid", NOW - 3), lease("", NOW - 3600)])
def test_an_api_servers_answer_says_the_same_as_the_lease(held: Lease) -> None:
    found = told(200, held)
    assert found and isinstance(found.lease, PlainLease) and is_settled(held, NOW)
    assert found.to_json() == Leader("kube-system", held, renewed=True).to_json()


def test_where_there_is_no_lease_nobody_leads() -> None:
    found = told(404, '{"kind": "Status", "code": 404}')
    assert found and found.line == f"{Leader('kube-system').sentence}.\n"
    assert "there is no Lease kube-system/felix-py-controller" in found.line


@pytest.mark.parametrize(
    ("status", "found"),
    [(200, lease("c-1", NOW - 60)), (200, lease("c-1", NOW + 60)), (200, "{"), (200, '{"spec": 7}'), (403, "{}")],
)
def test_what_one_look_cannot_tell_is_left_to_the_store(status: int, found: Lease | str) -> None:
    assert told(status, found) is None
