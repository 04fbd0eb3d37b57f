"""The records of handles as this process last wrote them, so that a release need not read what its ADD wrote.

Pure. A hint: another writer may have changed a record since, which a write that compares revisions finds out.
"""

from __future__ import annotations

from collections import OrderedDict

from msgspec import json

from datastore.kinds.ipam import IPAMHandle

MOST = 1024
"""How many are remembered: more than a node has pods."""


class HandleRecords:
    def __init__(self) -> None:
        self._texts: OrderedDict[str, str] = OrderedDict()
        """As text, a fifth of what a record takes: most are asked for once, when their pod goes."""

    def get(self, handle: str) -> IPAMHandle | None:
        text = self._texts.get(handle)
        return None if text is None else IPAMHandle.read(json.decode(text))

    def put(self, record: IPAMHandle) -> None:
        """Remember a record; the one that was written longest ago is forgotten for it if there are too many."""
        self._texts[record.spec.handle_id] = record.to_text()
        self._texts.move_to_end(record.spec.handle_id)
        if len(self._texts) > MOST:
            self._texts.popitem(last=False)

    def forget(self, handle: str) -> None:
        self._texts.pop(handle, None)
