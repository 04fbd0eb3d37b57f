"""Who bears a token, and what they may do, as the API server says.

An edge. Both are questions that only the API server can answer; each costs it a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec import Struct, field

from datastore.errors import Unavailable
from datastore.kube.client import ApiClient

A = TypeVar("A")

TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


class Subject(Struct, frozen=True):
    """Somebody whom the API server knows, in its own words."""

    user: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class _User(msgspec.Struct):
    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = {}


class _TokenStatus(msgspec.Struct):
    authenticated: bool = False
    audiences: tuple[str, ...] = ()
    user: _User = msgspec.field(default_factory=_User)


class _TokenReview(msgspec.Struct):
    status: _TokenStatus


class _AccessStatus(msgspec.Struct):
    allowed: bool = False


class _AccessReview(msgspec.Struct):
    status: _AccessStatus


class AccessReviews:
    """Asks one API server."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def bearer(self, token: str, audience: str) -> Subject | None:
        """Return who a token was made for, if it was for this audience; None: the API server does not accept it.

        Raises DatastoreError: it was not answered.
        """
        review = _review("authentication.k8s.io/v1", "TokenReview", token=token, audiences=[audience])
        status = (await self._ask("review a token", TOKENS, review, _TokenReview)).status
        # A server whose tokens know no audiences names none: then the token is good for the API too.
        if not status.authenticated or audience not in status.audiences:
            return None
        user = status.user
        return Subject(user.username, user.uid, user.groups, user.extra)

    async def may_get(self, subject: Subject, url: str) -> bool:
        """Whether a role lets a subject get this path, a rule of `nonResourceURLs`. Raises DatastoreError."""
        review = _review(
            "authorization.k8s.io/v1",
            "SubjectAccessReview",
            user=subject.user,
            uid=subject.uid,
            groups=subject.groups,
            extra=subject.extra,
            nonResourceAttributes={"path": url, "verb": "get"},
        )
        answer = await self._ask(f"review whether {subject.user} may get {url}", ACCESS, review, _AccessReview)
        return answer.status.allowed

    async def _ask(self, what: str, path: str, review: bytes, answer: type[A]) -> A:
        response = await self._client.request(what, "POST", path, review)
        try:
            return msgspec.json.decode(response.body, type=answer)
        except msgspec.DecodeError as error:
            raise Unavailable(f"{what}: the API server's answer is no review: {error}") from None


def _review(version: str, kind: str, **spec: object) -> bytes:
    return msgspec.json.encode({"apiVersion": version, "kind": kind, "spec": spec})
