"""Names and addresses that are asked about, and those that cannot be."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from explain.ends import End, Unclear, ends_of
from explain.records import PodRecord
from tests.explain.cluster import RECORDS, A, B

TWINS = tuple(PodRecord(space, "twin", "n1", "cali9", ("10.65.1.9",)) for space in ("red", "blue"))
RECORDS_WITH_TWINS = replace(RECORDS, pods=(*RECORDS.pods, *TWINS))


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("a", "a", "both are the same"),
        ("a", "10.65.2.999", "not an IP address"),
        ("a", "2001:db8::1", "no address family in common"),
        ("twin", "a", "say blue/twin or red/twin"),
    ],
)
def test_questions_that_make_no_sense_say_what_to_ask_instead(one: str, other: str, words: str) -> None:
    with pytest.raises(Unclear, match=words):
        ends_of(RECORDS_WITH_TWINS, one, other)


def test_a_namespace_tells_pods_of_one_name_apart() -> None:
    end, _ = ends_of(RECORDS_WITH_TWINS, "red/twin", "a")
    assert end.title == "red/twin"


def test_an_address_is_found_with_its_pod_its_node_or_its_block() -> None:
    pod, node = ends_of(RECORDS, B, "192.0.2.1")
    assert (pod.title, pod.node, pod.sends) == ("default/b", "n2", True)
    assert (node.title, node.is_node, node.sends) == ("n1", True, True)
    free, outside = ends_of(RECORDS, "10.65.2.9", "198.51.100.1")
    assert (free.node, free.sends) == ("n2", False)
    assert (outside.node, outside.sends) == ("", True)


def test_two_ends_speak_ipv6_where_they_have_nothing_else_in_common() -> None:
    both = replace(RECORDS.pods[0], addresses=(A, "fd00::1"))
    records = replace(RECORDS, pods=(both, replace(RECORDS.pods[1], addresses=("fd00::2",))))
    assert [end.address for end in ends_of(records, "a", "b")] == ["fd00::1", "fd00::2"]


def test_a_name_that_no_pod_has_is_an_end_without_address() -> None:
    assert ends_of(RECORDS, "new", "a")[0] == End("new")
