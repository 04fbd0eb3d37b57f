"""A Secret of Kubernetes, which holds what nobody else is to know, such as passwords of BGP sessions.

Pure. It is Kubernetes' own and only ever read. Its text shows nothing that it holds, and a key that cannot be decoded
counts as absent.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import ClassVar

from datastore.record import Resource


class Secret(Resource):
    KIND: ClassVar[str] = "Secret"
    PLURAL: ClassVar[str] = "secrets"
    API_VERSION: ClassVar[str] = "v1"
    API_VERSIONS: ClassVar[tuple[str, ...]] = ("v1",)
    NAMESPACED: ClassVar[bool] = True

    def __repr__(self) -> str:
        return f'Secret("{self.namespace}/{self.name}", revision {self.revision})'

    __str__ = __repr__

    @property
    def values(self) -> Mapping[str, bytes]:
        """What it holds, by key."""
        match self.model_extra:
            case {"data": dict(encoded)}:
                decoded = {key: _decoded(text) for key, text in encoded.items() if isinstance(text, str)}
                return {key: value for key, value in decoded.items() if value is not None}
            case _:
                return {}


def _decoded(text: str) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
