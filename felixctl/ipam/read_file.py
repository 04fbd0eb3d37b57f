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

_NAME = attrgetter("name")
_NAMESPACE_AND_NAME = attrgetter("namespace", "name")


def read_file(path: Path) -> IpamRecords | None:
    """Return everything the check compares, as it was at one moment; None: the store is to be asked."""
    return read_plainly(path, _records)


def _records(file: PlainRecords) -> IpamRecords:
    return IpamRecords(
        blocks=sorted(file.all(BLOCKS.kind_name, BLOCKS.read), key=_NAME),
        pools=sorted(file.all(POOL, plain_pool), key=_NAME),
        nodes=sorted(file.all(NODE, plain_node), key=_NAME),
        endpoints=sorted(file.all(ENDPOINTS.kind_name, ENDPOINTS.read), key=_NAMESPACE_AND_NAME),
        handles=sorted(file.all(HANDLES.kind_name, HANDLES.read), key=_NAME),
        affinities=sorted(file.all(AFFINITY, plain_affinity), key=_NAME),
    )
