"""An endpoint is of one attachment, and of one pod among those of its name."""

from __future__ import annotations

from typing import Any

import pytest

from cni.attachment import Attachment, PodRef
from cni.endpoint_owner import MIRROR, is_of, is_of_pod
from datastore.kinds.pods import WorkloadEndpoint
from datastore.names import NETWORK

ATTACHMENT = Attachment("net", "c1", "eth0")


def endpoint(network: str | None = None, **spec: Any) -> WorkloadEndpoint:
    annotations = {NETWORK: network} if network else {}
    made = WorkloadEndpoint.make("w", "default", annotations=annotations, node="n1", pod="web", **spec)
    return made.with_metadata(uid="u1")


@pytest.mark.parametrize(
    ("found", "is_its"),
    [
        (endpoint("net", containerID="c1"), True),
        (endpoint(containerID="c1"), True),
        (endpoint(), True),
        (endpoint("other", containerID="c1"), False),
        (endpoint("net", containerID="c2"), False),
        (endpoint("net", containerID="c1", endpoint="net1"), False),
    ],
)
def test_an_endpoint_is_of_the_attachment_that_it_does_not_contradict(found: WorkloadEndpoint, is_its: bool) -> None:
    assert is_of(found, ATTACHMENT) == is_its


@pytest.mark.parametrize(("uid", "is_it"), [("u1", True), ("of a file", True), ("u2", False), ("", False)])
def test_a_pod_is_known_by_its_uid_alone(uid: str, is_it: bool) -> None:
    found = endpoint()
    mirrored = found.with_metadata(annotations={MIRROR: "of a file"})
    assert is_of_pod(mirrored, PodRef("default", "web", uid)) == is_it
