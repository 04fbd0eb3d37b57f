"""Lists of an API server's whose objects are all plainly valid, as summaries: read without pydantic.

Pure. What is in any way odd is left to the store, which says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from datastore.kube.folded_metadata import unfolded
from datastore.kube.handle_table import read_table
from datastore.kube.list_message import ListMessage
from datastore.kube.page import read_page
from datastore.kube.pod_message import PodMessage
from datastore.kube.pods import summary_of_pod
from datastore.plain_claims import PlainAffinity, plain_affinity
from datastore.summaries import EndpointSummary, HandleSummary

T = TypeVar("T")


class OddObject(ValueError):
    """Only the store can judge it."""


class ArrivingPods:
    """The endpoints of a list of pods, each read when it has arrived."""

    def __init__(self) -> None:
        self.endpoints: list[EndpointSummary] = []
        self._message = ListMessage()

    def feed(self, part: bytes) -> None:
        """Raises ValueError: it is no list in protobuf, or a pod is odd."""
        for sent in self._message.feed(part):
            pod = PodMessage(sent).outline()
            if (found := summary_of_pod(pod)) is not None:
                self.endpoints.append(found)
            elif pod.has_endpoint:
                raise OddObject(f"pod {pod.namespace}/{pod.name}")

    def end(self) -> list[EndpointSummary]:
        """Return all of them, in no order. Raises ValueError: it is not over yet."""
        self._message.end()
        return self.endpoints


def plain_objects(body: bytes, read: Callable[[bytes], T | None]) -> list[T]:
    """Return what `read` makes of each object of a list, in their order. Raises OddObject: of one it makes nothing."""
    try:
        items = read_page(body).items
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OddObject(f"no list: {error}") from None
    found = []
    for item in items:
        if (kept := read(bytes(item))) is None:
            raise OddObject("an object")
        found.append(kept)
    return found


def stored_affinity(text: bytes) -> PlainAffinity | None:
    """Return an affinity, with the labels that Calico's clients know of it. None: it is not plainly valid."""
    found = plain_affinity(text)
    if found is None:
        return None
    metadata = found.metadata
    labels = unfolded({"labels": metadata.labels, "annotations": metadata.annotations}).get("labels", {})
    return replace(found, metadata=replace(metadata, labels=labels))


def plain_handles(body: bytes) -> list[HandleSummary]:
    """Return the handles of a table that has the columns, in no order. Raises OddObject: one of them is odd."""
    if (found := read_table(body)) is None:
        raise OddObject("the table of handles")
    return found
