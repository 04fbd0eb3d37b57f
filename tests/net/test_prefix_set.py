from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from net.prefix import Prefix
from net.prefix_set import PrefixSet


def of_family(bits: int) -> st.SearchStrategy[Prefix]:
    def prefix(number: int, length: int) -> Prefix:
        return Prefix((number >> (bits - length) << (bits - length)).to_bytes(bits // 8), length)

    return st.builds(prefix, st.integers(0, 2**bits - 1), st.integers(0, bits))


prefixes = of_family(32) | of_family(128)


@given(st.lists(prefixes, max_size=5), prefixes, st.integers(0, 32))
def test_a_set_contains_what_one_of_its_networks_contains(some: list[Prefix], other: Prefix, cut: int) -> None:
    near = [Prefix.of(f"{one.address}/{max(0, one.length - cut)}") for one in some]
    for asked in (other, *near, *some):
        assert PrefixSet(some).contains(asked) == any(one.contains(asked) for one in some)


def test_an_empty_set_contains_nothing() -> None:
    assert not PrefixSet([]).contains(Prefix.parse("10.0.0.0/8"))
