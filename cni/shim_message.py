"""What shim and agent say to each other: the call as the shim packs it, and its answer. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cni.errors import CniError, Code

_encode = json.JSONEncoder(separators=(",", ":")).encode


def encode_reply(status: int, document: Mapping[str, Any] | None) -> bytes:
    """Return the shim's answer: the exit status, one JSON object or nothing, and the newline that ends it."""
    body = b"" if document is None else _encode(document).encode()
    return bytes((status,)) + body + b"\n"


def unpack_request(message: bytes) -> tuple[dict[str, str], bytes]:
    """Split what the shim sent into environment and standard input. Raises CniError (6): it was cut short."""
    head, end, stdin = message.partition(b"\0\0")
    if not end:
        raise CniError(Code.UNDECODABLE, "the request ended before its environment did; it is dropped")
    pairs = (item.decode(errors="surrogateescape").partition("=") for item in head.split(b"\0"))
    return {name: value for name, _, value in pairs}, stdin
