"""The paths that are asked before the kinds are imported are those of the kinds."""

from __future__ import annotations

from datastore.defaults import CONTROLLER_LEASE
from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMHandle
from datastore.kinds.lease import Lease
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.kube import questions
from datastore.kube.paths import CORE, collection, item, with_query
from datastore.kube.questions import Question
from datastore.record import CRD, Resource


def test_each_question_asks_for_all_objects_of_a_kind() -> None:
    asked: dict[type[Resource], Question] = {
        Node: questions.NODES,
        WorkloadEndpoint: questions.PODS,
        IPAMBlock: questions.BLOCKS,
        IPAMHandle: questions.HANDLES,
        BlockAffinity: questions.AFFINITIES,
        IPPool: questions.POOLS,
    }
    for kind, question in asked.items():
        assert question.path == collection(kind, CRD)
    assert questions.HANDLE_TABLE.path == with_query(questions.HANDLES.path, {"includeObject": "None"})


def test_the_lease_is_that_of_the_controllers() -> None:
    asked = questions.lease("kube-system")
    assert asked.path == item(Lease, CORE, CONTROLLER_LEASE, "kube-system")
    assert asked.statuses == {200, 403, 404} != questions.PODS.statuses
    assert questions.lease("a/b c").path.count("/") == asked.path.count("/")
