"""The order of many routes: nothing is left out, and those of IPv4 are spread."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kernel.route_order import FEW, has_easy_order, in_easy_order
from net.prefix import Prefix


def hosts(first: int, count: int) -> list[Prefix]:
    return [Prefix.host((first + number).to_bytes(4)) for number in range(count)]


@given(st.integers(0, 3 * FEW), st.integers(0, FEW))
def test_the_same_prefixes_are_there_and_those_of_ipv6_as_they_came(four: int, six: int) -> None:
    of_six = [Prefix.host(number.to_bytes(16)) for number in range(six)]
    given_ones = hosts(0, four) + of_six
    ordered = in_easy_order(given_ones)
    assert sorted(ordered) == sorted(given_ones)
    assert [prefix for prefix in ordered if prefix.bits == 128] == of_six
    assert all(has_easy_order(prefix) == (prefix.bits == 32) for prefix in ordered)


def test_of_many_in_the_order_of_addresses_each_beginning_is_spread_over_all() -> None:
    count = 16 * FEW
    ordered = in_easy_order(hosts(0, count))
    for bits in range(1, 9):
        width = count >> bits
        parts = {int.from_bytes(prefix.packed) // width for prefix in ordered[: count // FEW << bits]}
        assert len(parts) == 1 << bits


def test_few_stay_as_they_came() -> None:
    assert in_easy_order(hosts(0, FEW)) == hosts(0, FEW)
