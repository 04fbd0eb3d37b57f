"""A Namespace of Kubernetes: what its labels and annotations say of the pods in it.

Pure. It is Kubernetes' own and only ever read.
"""

from __future__ import annotations

from typing import ClassVar

from datastore.record import Resource


class Namespace(Resource):
    KIND: ClassVar[str] = "Namespace"
    PLURAL: ClassVar[str] = "namespaces"
    API_VERSION: ClassVar[str] = "v1"
    API_VERSIONS: ClassVar[tuple[str, ...]] = ("v1",)
