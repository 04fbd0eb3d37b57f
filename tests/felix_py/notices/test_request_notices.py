"""What requests ask for in vain is told: with each pod what is the pod's, and once what is the network's."""

from __future__ import annotations

import json
from typing import Any

from cni.network_config import ANNOTATIONS
from cni.request import CniRequest, parse
from cni.wishes import PREFIX
from datastore.kinds.namespace import Namespace
from datastore.notices import Notice
from datastore.store import Changed, Gone
from felix_py.notices.current_notices import CurrentNotices
from felix_py.notices.request_notices import RequestNotices
from tests.cni.conftest import call, configuration


def request(**members: Any) -> CniRequest:
    return parse(call("ADD", CNI_NETNS="/run/netns/a"), json.dumps(configuration(**members)).encode())


class Told:
    """What was told, as `object field`."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.requests = RequestNotices(CurrentNotices("n1"), self._add)

    def _add(self, notices: tuple[Notice, ...]) -> None:
        self.lines += [f"{notice.kind} {notice.field}" for notice in notices]


def test_a_network_is_told_of_once_and_again_when_its_configuration_has_changed_back() -> None:
    told = Told()
    for _ in range(3):
        told.requests.observe(request(policy={"type": "k8s"}))
    assert told.lines == ["Network policy"]
    told.requests.observe(request())
    told.requests.observe(request(policy={"type": "k8s"}))
    assert told.lines == ["Network policy"] * 2


def test_two_networks_that_take_turns_are_told_of_once_each() -> None:
    told = Told()
    for _ in range(3):
        for name in ("one", "other"):
            told.requests.observe(request(name=name, policy={"type": "k8s"}))
    assert told.lines == ["Network policy"] * 2


def test_a_pod_is_told_of_with_each_of_its_requests() -> None:
    told = Told()
    for _ in range(2):
        told.requests.observe(request(runtimeConfig={ANNOTATIONS: {f"{PREFIX}floatingIPs": '["192.0.2.7"]'}}))
    assert told.lines == [f"Pod {PREFIX}floatingIPs"] * 2


def test_a_namespace_is_told_of_until_it_says_nothing_of_the_kind() -> None:
    told = Told()
    misspelt = Namespace.make("red", annotations={f"{PREFIX}ipv4Pools": '["red"]'})
    for _ in range(2):
        told.requests.fold(Changed(misspelt))
    told.requests.fold(Changed(Namespace.make("red")))
    told.requests.fold(Changed(misspelt))
    told.requests.fold(Gone(Namespace, "red", None))
    told.requests.fold(Changed(misspelt))
    assert told.lines == [f"Namespace {PREFIX}ipv4Pools"] * 3
