"""The records of handles as this process last wrote them, so that a release need not read what its ADD wrote.

Pure. A hint: another writer may have changed a record since, which a write that compares revisions finds out.
"""

from __future__ import annotations

from collections import OrderedDict

from datastore.kinds.ipam import IPAMHandle

MOST = 1024
"""How many are remembered: more than a node has pods."""


class HandleRecords:
    def __init__(self) -> None:
        self._records: OrderedDict[str, IPAMHandle] = OrderedDict()

    def get(self, handle: str) -> IPAMHandle | None:
        return self._records.get(handle)

    def put(self, record: IPAMHandle) -> None:
        """Remember a record; the one that was written longest ago is forgotten for it if there are too many."""
        self._records[record.spec.handle_id] = record
        self._records.move_to_end(record.spec.handle_id)
        if len(self._records) > MOST:
            self._records.popitem(last=False)

    def forget(self, handle: str) -> None:
        self._records.pop(handle, None)
