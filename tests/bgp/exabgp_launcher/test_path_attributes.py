"""AS_PATHs on the wire."""

from __future__ import annotations

import pytest

from bgp.exabgp_launcher import path_attributes


@pytest.mark.parametrize(
    ("value", "asn_bytes", "right"),
    [
        (b"", 4, True),
        (b"\2\1\0\0\0\7\1\2\0\0\0\1\0\0\0\2", 4, True),
        (b"\2\2\0\7\0\10", 2, True),
        (b"\2\2\0\7\0\10", 4, False),
        (b"\2\1\0\0\0\7\2", 4, False),
        (b"\2\0", 4, False),
        (b"\3\1\0\0\0\7", 4, False),
    ],
)
def test_an_as_path_is_whole_segments_none_of_them_empty_or_of_a_confederation(
    value: bytes, asn_bytes: int, right: bool
) -> None:
    assert path_attributes.is_as_path(value, asn_bytes) is right


def test_an_as_path_without_as_0_is_asked_for_by_some() -> None:
    path = b"\2\1\0\0\0\7\1\2\0\0\0\1\0\0\0\0"
    assert path_attributes.is_as_path(path, 4)
    assert not path_attributes.is_as_path(path, 4, may_hold_zero=False)
    assert path_attributes.is_as_path(path[:6], 4, may_hold_zero=False)
