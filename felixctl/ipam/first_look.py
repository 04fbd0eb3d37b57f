"""A first look at all addresses, without the store: enough where every record is plainly valid and all is well.

An event loop, threads and pydantic take longer to load than half of the records of a large cluster.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from felixctl.datastore_choice import existing_file
from felixctl.ipam.check_report import report
from felixctl.ipam.lost_devices import with_lost_devices
from felixctl.ipam.problems import problems
from felixctl.ipam.read_file import read_file
from felixctl.ipam.records import IpamRecords
from felixctl.lean_imports import expect_pydantic
from felixctl.terminal import show, warn

if TYPE_CHECKING:  # a file needs neither
    from datastore.kube.asking import Asking
    from felixctl.leader import Leader


def looks_sound(url: str, asking: Asking | None, run_dir: Path, namespace: str, *, all_addresses: bool) -> bool:
    """Whether all is well at first sight, of which the report is printed then; else the store is to be asked.

    asking: of the API server that the URL names, where it could be asked already. namespace: where its controllers are.
    """
    if asking:
        return _is_sound_api(url, asking, run_dir, namespace, all_addresses)
    path = existing_file(url)
    records = read_file(path) if path else None
    return records is not None and _is_sound(records, run_dir, all_addresses)


def _is_sound(records: IpamRecords, run_dir: Path, all_addresses: bool) -> bool:
    records = with_lost_devices(records, run_dir)
    found = problems(records)
    if found.count:
        return False
    show(report(records, found, all_addresses=all_addresses))
    return True


def _is_sound_api(url: str, asking: Asking, run_dir: Path, namespace: str, all_addresses: bool) -> bool:
    from felixctl.ipam.read_api import read_api  # imported late: a file needs none of it

    cluster = read_api(asking, namespace, time.time())
    if cluster is None or not _is_sound(cluster.records, run_dir, all_addresses):
        return False
    warn((cluster.leader or _read_leader(url, namespace)).line)
    return True


def _read_leader(url: str, namespace: str) -> Leader:
    expect_pydantic()
    from felixctl.connection import reading
    from felixctl.read_leader import read_leader

    return reading(url, lambda store: read_leader(store, namespace))
