from __future__ import annotations

import gzip

import pytest

from datastore.kube.body import Body, DamagedBody

SMALL = gzip.compress(b"fine" * 1000)


def body(*parts: bytes, encoding: str = "gzip") -> bytes:
    kept: list[bytes] = []
    arriving = Body({"content-encoding": encoding}, kept.append)
    for part in parts:
        arriving.feed(part)
    arriving.end()
    return b"".join(kept)


def test_what_was_made_small_is_as_it_was_before_wherever_it_is_cut() -> None:
    assert all(body(SMALL[:at], SMALL[at:]) == b"fine" * 1000 for at in range(len(SMALL)))


def test_what_was_not_made_small_is_left_as_it_is() -> None:
    assert body(b"a", b"b", encoding="identity") == b"ab"
    assert body(encoding="identity") == b""


@pytest.mark.parametrize("damaged", [SMALL[:-1], b"", b"fine", SMALL[:10] + b"\xff" + SMALL[11:]])
def test_what_is_damaged_or_ends_too_early_is_an_error(damaged: bytes) -> None:
    with pytest.raises(DamagedBody):
        body(damaged)
