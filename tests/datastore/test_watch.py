"""What a watch reports, as a function of what it has reported and of the next reading."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from datastore.kinds.ipam import IPAMHandle
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.record import Resource
from datastore.store import Changed, Gone, WatchEvent
from datastore.watch import ChangeSet, Key, Reported, key_for, key_of


def pool(name: str, revision: int) -> IPPool:
    return IPPool.make(name, cidr="10.65.0.0/16").with_metadata(resource_version=str(revision))


def everything(*pools: IPPool) -> ChangeSet:
    return ChangeSet(True, [(key_of(one), one) for one in pools])


def changes(*pools: IPPool, gone: str = "") -> ChangeSet:
    left: list[tuple[Key, Resource | None]] = [(key_for(IPPool, name, None), None) for name in gone]
    return ChangeSet(False, [*left, *((key_of(one), one) for one in pools)])


def test_at_first_everything_is_reported() -> None:
    assert list(Reported().fold(everything(pool("a", 1), pool("b", 2)))) == [
        Changed(pool("a", 1)),
        Changed(pool("b", 2)),
    ]


def test_after_a_relist_only_what_differs_is_reported_what_is_gone_first() -> None:
    reported = Reported()
    list(reported.fold(everything(pool("a", 1), pool("b", 2), pool("c", 3))))
    assert list(reported.fold(everything(pool("a", 1), pool("c", 4), pool("d", 5)))) == [
        Gone(IPPool, "b", None, pool("b", 2)),
        Changed(pool("c", 4)),
        Changed(pool("d", 5)),
    ]


def test_what_is_gone_is_reported_once_with_its_last_state() -> None:
    reported = Reported()
    list(reported.fold(everything(pool("a", 1))))
    list(reported.fold(changes(pool("a", 2))))
    assert list(reported.fold(changes(gone="a"))) == [Gone(IPPool, "a", None, pool("a", 2))]
    assert list(reported.fold(changes(gone="a"))) == []


def test_what_was_never_reported_is_not_reported_as_gone() -> None:
    assert list(Reported().fold(changes(gone="a"))) == []


def test_a_namespace_is_part_of_the_key_only_where_the_kind_has_one() -> None:
    assert key_for(IPPool, "a", "ignored") == Key("IPPool", "", "a")
    assert str(key_for(WorkloadEndpoint, "w", "ns")) == 'WorkloadEndpoint "ns/w"'
    assert str(key_for(IPAMHandle, "h", None)) == 'IPAMHandle "h"'


states = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 3))


@given(st.lists(st.tuples(st.booleans(), states), max_size=6))
def test_the_events_add_up_to_what_was_read(readings: list[tuple[bool, Mapping[str, int]]]) -> None:
    """Readings are complete or differences from the state before; a revision names one state of an object."""
    reported, seen, before = Reported(), dict[str, Resource](), dict[str, int]()
    for complete, now in readings:
        present = [pool(name, revision) for name, revision in now.items()]
        gone = "".join(before.keys() - now.keys())
        for event in reported.fold(everything(*present) if complete else changes(*present, gone=gone)):
            _apply(event, seen)
        before = dict(now)
        assert seen == {one.name: one for one in present}


def _apply(event: WatchEvent, seen: dict[str, Resource]) -> None:
    match event:
        case Changed(resource):
            assert seen.get(resource.name) != resource
            seen[resource.name] = resource
        case Gone(name=name, last=last):
            assert seen.pop(name) == last
