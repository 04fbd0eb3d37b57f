"""Who may read this agent's status over the network: whose token the API server knows, and whom a role lets read it.

An edge. A token is for AUDIENCE alone, so that whoever hears it, since the port is plain, can use it nowhere else; it
stands in a header of its own, since the API server's proxy takes away the Authorization of whoever asks through it. The
API server is asked about a token once for a while, and not at all about what cannot be one of its tokens for us.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Collection
from http import HTTPStatus
from typing import NamedTuple, Protocol

from datastore.errors import DatastoreError
from datastore.kube.reviews import Subject
from felix_py.pages.kept_answers import KeptAnswers
from felix_py.pages.question_budget import QuestionBudget
from felix_py.pages.token_claims import claims_of
from felix_py.pages.web import Page, PageRequest, text_page
from felix_py.status_model import STATUS_AUDIENCE, TOKEN_HEADER

log = logging.getLogger("felix.access")

ADMITTED_SECONDS = 60.0
"""For how long a right that is taken away still counts."""
REFUSED_SECONDS = 10.0
"""For how long one that is given does not count yet, for a token that was refused before."""
MOST_KEPT = 512
"""Answers of each kind that are kept: a flood of refusals takes no place of others."""
LEEWAY_SECONDS = 300.0
"""For how long a token that says it has ended is asked about all the same: two clocks are never one."""
REVIEW_SECONDS = 3.0
"""For both questions; less than a page may take."""


class Reviews(Protocol):
    """What is asked of `datastore.kube.reviews.AccessReviews`."""

    async def bearer(self, token: str, audience: str) -> Subject | None: ...

    async def may_get(self, subject: Subject, url: str) -> bool: ...


class _Question(NamedTuple):
    token: bytes
    """Its digest: a token is kept nowhere."""
    path: str


class StatusAccess:
    """Admits requests for these pages."""

    def __init__(
        self,
        reviews: Reviews,
        pages: Collection[str],
        clock: Callable[[], float] = time.monotonic,
        epoch: Callable[[], float] = time.time,
    ) -> None:
        self._reviews, self._pages, self._clock, self._epoch = reviews, frozenset(pages), clock, epoch
        self._admitted: KeptAnswers[bool] = KeptAnswers(MOST_KEPT)
        self._refused: KeptAnswers[str] = KeptAnswers(MOST_KEPT)
        self._budget = QuestionBudget(clock())
        self._asking: dict[_Question, asyncio.Task[str]] = {}

    async def refusal(self, request: PageRequest) -> Page | None:
        """Return the answer to a request that is not admitted; None: it is, or it is for no page at all."""
        path = request.target.partition("?")[0]
        if path not in self._pages:
            return None
        token = request.headers.get(TOKEN_HEADER.lower()) or _bearer(request.headers.get("authorization", ""))
        claims = claims_of(token)
        if claims is None or STATUS_AUDIENCE not in claims.audiences:
            return _refused(
                f"{path}: a token for the audience {STATUS_AUDIENCE} is needed, in the header {TOKEN_HEADER}; felixctl"
                f" node status --all asks for one, as kubectl create token --audience={STATUS_AUDIENCE} does"
            )
        expires = claims.expires
        if expires is None or expires + LEEWAY_SECONDS < self._epoch():
            return _refused(f"{path}: the token {_ended(expires, self._epoch())}")
        question, now = _Question(hashlib.sha256(token.encode()).digest(), path), self._clock()
        if self._admitted.get(question, now):
            return None
        if (known := self._refused.get(question, now)) is not None:
            return _refused(known)
        asking = self._asking.get(question)
        if asking is None:
            if not self._budget.take(request.source, now):
                return text_page(
                    HTTPStatus.TOO_MANY_REQUESTS,
                    f"{path}: too many different tokens came from {request.source}, or from strangers; try again\n",
                )
            asking = asyncio.create_task(self._asked(question, token, expires, request.source))
            self._asking[question] = asking
            asking.add_done_callback(lambda done: self._answered(question, done))
        try:
            why = await asyncio.shield(asking)
        except (DatastoreError, TimeoutError) as error:
            reason = str(error) or f"no answer within {REVIEW_SECONDS:g} s"
            log.warning("find out who asks for %s: %s; it is not shown", path, reason)
            text = f"{path}: who asks cannot be found out, so it is not shown: {reason}; try again\n"
            return text_page(HTTPStatus.SERVICE_UNAVAILABLE, text)
        if why:
            return _refused(why)
        self._budget.prove(request.source)
        return None

    def _answered(self, question: _Question, asking: asyncio.Task[str]) -> None:
        del self._asking[question]
        if not asking.cancelled():
            asking.exception()  # those who still wait get it

    async def _asked(self, question: _Question, token: str, expires: float, source: str) -> str:
        """Return why a request is refused, "" if it is not, and keep that. Raises DatastoreError and TimeoutError."""
        async with asyncio.timeout(REVIEW_SECONDS):
            subject = await self._reviews.bearer(token, STATUS_AUDIENCE)
            allowed = subject is not None and await self._reviews.may_get(subject, question.path)
        if allowed:
            self._admitted.put(question, True, self._clock() + min(ADMITTED_SECONDS, expires - self._epoch()))
            return ""
        if subject is None:
            why = f"{question.path}: the API server does not accept the token"
            self._budget.was_in_vain(source, self._clock())
        else:
            why = (
                f"{question.path}: no role lets {subject.user} get it: ClusterRole felix-py-status, or a rule of your"
                f" own with nonResourceURLs {question.path}"
            )
        log.info("%s", why)
        self._refused.put(question, why, self._clock() + REFUSED_SECONDS)
        return why


def _ended(expires: float | None, now: float) -> str:
    """Return what is wrong with the end that a token claims, in seconds of the epoch, and what to do."""
    says = "does not say when it ends" if expires is None else f"ended {now - expires:.0f} s ago by this node's clock"
    return f"{says}; ask for another, as kubectl create token --audience={STATUS_AUDIENCE} does"


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _refused(why: str) -> Page:
    # Not 401: whoever asks through the API server would take that for its own, and renew what they are known by there.
    return text_page(HTTPStatus.FORBIDDEN, f"{why}\n")
