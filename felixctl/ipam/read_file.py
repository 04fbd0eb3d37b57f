"""The records of a first look at a file, read without the store where all of them are plainly valid.

An event loop, threads and pydantic take longer to load than half of the records of a large cluster.
"""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path

from datastore.plain_claims import AFFINITY, NODE, POOL, plain_affinity, plain_node, plain_pool
from datastore.sqlite_records import PlainRecords, read_plainly
from datastore.summaries import BLOCKS, ENDPOINTS, HANDLES
from felixctl.ipam.records import IpamRecords

READERS = {
    **{summary.kind_name: summary.read for summary in (BLOCKS, ENDPOINTS, HANDLES)},
    POOL: plain_pool,
    NODE: plain_node,
    AFFINITY: plain_affinity,
}
_NAME = attrgetter("name")


def read_file(path: Path) -> IpamRecords | None:
    """Return everything the check compares, as it was at one moment; None: the store is to be asked."""
    return read_plainly(path, _records)


def _records(file: PlainRecords) -> IpamRecords:
    """Blocks, pools and nodes come by name, as they are printed; the rest in no order."""
    found = file.by_kind(READERS)
    return IpamRecords(
        blocks=sorted(found[BLOCKS.kind_name], key=_NAME),
        pools=sorted(found[POOL], key=_NAME),
        nodes=sorted(found[NODE], key=_NAME),
        endpoints=found[ENDPOINTS.kind_name],
        handles=found[HANDLES.kind_name],
        affinities=found[AFFINITY],
    )
