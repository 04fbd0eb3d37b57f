from __future__ import annotations

import json

import pytest

from datastore.errors import AlreadyExists, Conflict, DatastoreError, Forbidden, Invalid, NotFound, Unavailable
from datastore.kube.answers import NotNow, Status, TooMany, read_status, refusal, retry_after


def status(code: int, reason: str = "", message: str = "because", **more: object) -> bytes:
    return json.dumps({"kind": "Status", "code": code, "reason": reason, "message": message, **more}).encode()


@pytest.mark.parametrize(
    ("code", "body", "error"),
    [
        (404, status(404, "NotFound"), NotFound),
        (409, status(409, "AlreadyExists"), AlreadyExists),
        (409, status(409, "Conflict"), Conflict),
        (409, status(409, "Conflict", "Precondition failed: UID in precondition: a, UID in object meta: b"), Conflict),
        (422, status(422, "Invalid"), Invalid),
        (400, status(400, "BadRequest"), Invalid),
        (401, status(401, "Unauthorized"), Unavailable),
        (403, status(403, "Forbidden"), Forbidden),
        (500, status(500, "InternalError"), NotNow),
        (429, status(429, "TooManyRequests"), TooMany),
        (503, b"no JSON", NotNow),
    ],
)
def test_a_refusal_is_what_its_code_and_reason_say(code: int, body: bytes, error: type[DatastoreError]) -> None:
    refused = refusal("get IPPool", code, read_status(code, body))
    assert type(refused) is error
    assert str(refused).startswith("get IPPool: ")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"message": 5}', b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_status_is_its_own_message(body: bytes) -> None:
    assert read_status(502, body).code == 502
    assert "get" in str(refusal("get", 502, read_status(502, body)))


@pytest.mark.parametrize(
    ("details", "seconds"), [({"retryAfterSeconds": 3}, 3), ({"retryAfterSeconds": "x"}, 0), ({}, 0)]
)
def test_how_long_to_wait_is_in_the_details(details: dict[str, object], seconds: float) -> None:
    assert read_status(429, status(429, details=details)).retry_after_seconds == seconds


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("", 3), ("\N{SUPERSCRIPT TWO}", 3), ("-1", 3), ("soon", 3)])
def test_how_long_to_wait_is_what_the_header_says_if_that_is_a_number(header: str, seconds: int) -> None:
    status = Status(details={"retryAfterSeconds": 3})
    assert retry_after({"retry-after": header}, status) == seconds
