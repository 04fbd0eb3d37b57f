"""A list of objects as the API server sends it in protobuf, taken apart while it arrives. Pure.

Kubernetes' envelope is four bytes and a message with the object's type and, as its second field, the object itself. In
a list the first field is metadata, the second an item; items follow one another, each behind its length.
"""

from __future__ import annotations

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
ENVELOPE = b"k8s\0"
_SECOND = 2 << 3 | 2
_DELIMITED = 2


class ListMessage:
    """The items of one list, each as the bytes of its message."""

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False
        self._left: int | None = None
        """How much of the list is to come; None: it has not begun."""

    def feed(self, part: bytes) -> list[bytes]:
        """Return the items that are complete with this part. Raises ValueError: it is no list in protobuf."""
        data, at = self._rest + part, 0
        if not self._begun and len(data) >= len(ENVELOPE):
            if not data.startswith(ENVELOPE):
                raise ValueError("it does not begin as Kubernetes' protobuf does")
            self._begun, at = True, len(ENVELOPE)
        items: list[bytes] = []
        while self._begun and (field := _field(data, at)):
            tag, start, length = field
            if tag == _SECOND and self._left is None:
                self._left, at = length, start
                continue
            if start + length > len(data):
                break
            if self._left:
                self._left -= start + length - at
                if self._left < 0:
                    raise ValueError("an item is longer than its list")
                if tag == _SECOND:
                    items.append(data[start : start + length])
            at = start + length
        self._rest = data[at:]
        return items

    def end(self) -> None:
        """Raises ValueError: it is not over yet."""
        if self._left or self._rest or self._left is None:
            raise ValueError("it ends too early")


def _field(data: bytes, at: int) -> tuple[int, int, int] | None:
    """Return the tag of a field, where its content begins and how long that is; None where that is yet to come.

    Raises ValueError: it is of another sort than those of lists and envelopes.
    """
    if at >= len(data):
        return None
    tag, at = data[at], at + 1
    if tag & 7 != _DELIMITED or tag & 0x80:
        raise ValueError(f"it has a field of the tag {tag}, which no list has")
    length = 0
    for shift in range(0, 35, 7):
        if at >= len(data):
            return None
        length |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return tag, at, length
    raise ValueError("the length of a field is too long")
