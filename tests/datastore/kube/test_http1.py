"""Answers of HTTP/1.1, in whatever parts they come."""

from __future__ import annotations

import gzip

import pytest

from datastore.kube.body import DamagedBody
from datastore.kube.http1 import LONGEST_HEAD, Damaged, PlainAnswer

BODY = bytes(range(256)) * 40


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *lines, "")).encode()


def chunks(body: bytes, size: int = 4096) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))


CHUNKED, SMALL = "Transfer-Encoding: chunked", "Content-Encoding: gzip"
ANSWERS = {
    "in chunks": head(CHUNKED) + chunks(BODY),
    "in small chunks": head("X: y", CHUNKED.lower()) + chunks(BODY, 7),
    "of a length": head(f"Content-Length: {len(BODY)}") + BODY,
    "in gzip": head(SMALL, CHUNKED) + chunks(gzip.compress(BODY)),
    "in gzip of a length": head(f"content-length:{len(gzip.compress(BODY))}", SMALL) + gzip.compress(BODY),
}


@pytest.mark.parametrize("size", [1, 2, 3, 100, 1 << 20])
@pytest.mark.parametrize("sent", ANSWERS.values(), ids=ANSWERS)
def test_a_body_is_the_same_in_whatever_parts_it_comes(sent: bytes, size: int) -> None:
    answer, found = PlainAnswer(), b""
    for at in range(0, len(sent), size):
        assert not answer.ended
        found += answer.feed(sent[at : at + size])
    assert (answer.ended, answer.status, found) == (True, 200, BODY)


def test_what_has_come_of_a_body_is_handed_on_before_its_end() -> None:
    answer = PlainAnswer()
    assert answer.feed(head(CHUNKED) + b"a\r\n01234") == b"01234"
    assert answer.feed(b"56789\r") == b"56789"
    assert not answer.ended and answer.feed(b"\n0\r\n\r\n") == b""
    assert answer.ended


def test_an_answer_may_have_no_body() -> None:
    answer = PlainAnswer()
    assert answer.feed(head("Content-Length: 0", status="404 Not Found")) == b""
    assert (answer.ended, answer.status) == (True, 404)


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 ok\r\nContent-Length: 0\r\n\r\n",
        b"\0\0\6\4\0\0\0\0\0\0\5\0\0@\0\r\n\r\n",
        b"x" * (LONGEST_HEAD + 1),
        head(),
        head("Content-Length: -1"),
        head("Content-Length: 1") + b"ab",
        head(CHUNKED) + b"x\r\n",
        head(CHUNKED) + b"-5\r\n",
        head(CHUNKED) + b"1;a=b\r\nx\r\n",
        head(CHUNKED) + b"1\r\nxyz\r\n",
        head(CHUNKED) + b"0\r\nTrailer: x\r\n\r\n",
        head(CHUNKED) + chunks(b"a") + b"HTTP/1.1",
    ],
)
def test_what_is_no_such_answer_is_damaged(sent: bytes) -> None:
    with pytest.raises(Damaged):
        PlainAnswer().feed(sent)


def test_gzip_that_ends_too_early_is_damaged() -> None:
    with pytest.raises(DamagedBody):
        PlainAnswer().feed(head(SMALL, CHUNKED) + chunks(gzip.compress(BODY)[:-9]))
