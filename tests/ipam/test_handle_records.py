"""A bounded memory of the handles written last."""

from __future__ import annotations

from datastore.kinds.ipam import IPAMHandle
from ipam.handle_records import MOST, HandleRecords


def handle(number: int) -> IPAMHandle:
    return IPAMHandle.make(f"net.{number}", handle_id=f"net.{number}", block={"10.65.0.0/26": 1})


def test_those_written_longest_ago_are_forgotten_first() -> None:
    records = HandleRecords()
    for number in range(MOST):
        records.put(handle(number))
    records.put(handle(0))
    records.put(handle(MOST))
    assert records.get("net.1") is None
    assert records.get("net.0") == handle(0)
    records.forget("net.0")
    records.forget("net.0")
    assert records.get("net.0") is None
