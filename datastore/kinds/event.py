"""An Event of Kubernetes: what a program has to say of an object, as `kubectl describe` lists it below the object.

Pure. It is only ever written. The API server forgets an Event an hour after it was last written, unless set otherwise.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from datastore.kinds.node import Node
from datastore.record import Resource

NAMESPACE = "default"
"""Where Events about objects without a namespace are kept."""
LONGEST_MESSAGE = 1024
"""In bytes, as the API server checks."""


class Event(Resource):
    KIND: ClassVar[str] = "Event"
    PLURAL: ClassVar[str] = "events"
    API_VERSION: ClassVar[str] = "v1"
    API_VERSIONS: ClassVar[tuple[str, ...]] = ("v1",)
    NAMESPACED: ClassVar[bool] = True

    @classmethod
    def about(
        cls, node: Node, name: str, kind: Literal["Normal", "Warning"], reason: str, message: str, count: int, now: str
    ) -> Self:
        """Return an Event about a Node. kind: its `type`. count: how often it was said. now: in Kubernetes' form."""
        involved = {"apiVersion": "v1", "kind": "Node", "name": node.name, "uid": node.metadata.uid or ""}
        record: dict[str, Any] = {
            "apiVersion": cls.API_VERSION,
            "kind": cls.KIND,
            "metadata": {"name": name, "namespace": NAMESPACE},
            "involvedObject": involved,
            "type": kind,
            "reason": reason,
            "message": message,
            "source": {"component": "felix-py", "host": node.name},
            "reportingComponent": "felix-py",
            "reportingInstance": node.name,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": count,
        }
        return cls.read(record)

    def said_again(self) -> dict[str, Any]:
        """Return the patch by which an Event that is there says this."""
        record = self.to_json()
        return {key: record[key] for key in ("message", "lastTimestamp", "count")}
