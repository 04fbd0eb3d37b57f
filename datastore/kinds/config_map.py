"""A ConfigMap of Kubernetes: texts by name, such as what kubeadm notes of the cluster that it made.

Pure. It is Kubernetes' own and only ever read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from datastore.record import Resource


class ConfigMap(Resource):
    KIND: ClassVar[str] = "ConfigMap"
    PLURAL: ClassVar[str] = "configmaps"
    API_VERSION: ClassVar[str] = "v1"
    API_VERSIONS: ClassVar[tuple[str, ...]] = ("v1",)
    NAMESPACED: ClassVar[bool] = True

    @property
    def data(self) -> Mapping[str, str]:
        match self.model_extra:
            case {"data": dict(texts)}:
                return {name: text for name, text in texts.items() if isinstance(text, str)}
            case _:
                return {}
