"""The body of an answer, as it was before the server made it small, while it arrives. Sans-IO."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping

GZIP = 16 + zlib.MAX_WBITS
"""As zlib's window size: a gzip header and trailer are expected."""


class DamagedBody(Exception):
    """What was sent as gzip is none, or ends too early."""


class Body:
    """keep: takes the parts, in order. In one part of a few kilobytes a thousand times as much may be."""

    def __init__(self, headers: Mapping[str, str], keep: Callable[[bytes], object]) -> None:
        self._keep = keep
        self._gzip = zlib.decompressobj(GZIP) if headers.get("content-encoding") == "gzip" else None

    def feed(self, part: bytes) -> None:
        """Raises DamagedBody, and what `keep` raises."""
        self._keep(part if self._gzip is None else self._expanded(part))

    def end(self) -> None:
        """Raises DamagedBody: it is not over yet."""
        if self._gzip is not None and not self._gzip.eof:
            raise DamagedBody("it ends too early")

    def _expanded(self, part: bytes) -> bytes:
        assert self._gzip
        try:
            return self._gzip.decompress(part)
        except zlib.error as error:
            raise DamagedBody(str(error)) from None
