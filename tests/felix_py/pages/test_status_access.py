"""Who is admitted to the status over the network, and what that costs the API server."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import pytest

from datastore.errors import Forbidden, Unavailable
from datastore.kube.reviews import Subject
from felix_py.pages import status_access
from felix_py.pages.question_budget import OF_STRANGERS
from felix_py.pages.status_access import ADMITTED_SECONDS, LEEWAY_SECONDS, REFUSED_SECONDS, StatusAccess
from felix_py.pages.web import Page, PageRequest
from tests.felix_py.tokens import token

GOOD = token(aud=["felix-py"], exp=10_000)
KNOWN = Subject("system:serviceaccount:kube-system:felix-py-status", "u1", ("system:serviceaccounts",))


class ApiServer:
    """Knows one token, and lets its bearer get what is in `allowed`. error: what it answers instead."""

    def __init__(self) -> None:
        self.tokens, self.allowed, self.asked = {GOOD}, {"/felix/status"}, 0
        self.error: Exception | None = None
        self.hangs = False

    async def bearer(self, token: str, audience: str) -> Subject | None:
        self.asked += 1
        await asyncio.sleep(60 if self.hangs else 0)
        if self.error:
            raise self.error
        return KNOWN if token in self.tokens and audience == "felix-py" else None

    async def may_get(self, subject: Subject, url: str) -> bool:
        return subject == KNOWN and url in self.allowed


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def api() -> ApiServer:
    return ApiServer()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def access(api: ApiServer, time: Time) -> StatusAccess:
    return StatusAccess(api, ("/felix/status", "/felix/routes"), time, time)


def request(
    shown: str = GOOD, path: str = "/felix/status", source: str = "192.0.2.254", name: str = "x-felix-token"
) -> PageRequest:
    return PageRequest("GET", path, {name: shown} if shown else {}, source)


def said(page: Page | None) -> tuple[int, str]:
    assert page is not None and isinstance(page.body, bytes)
    return page.status.value, page.body.decode()


async def test_a_known_bearer_whom_a_role_lets_is_admitted(access: StatusAccess) -> None:
    assert await access.refusal(request()) is None
    assert await access.refusal(request(path="/felix/status?x=1")) is None


async def test_without_a_proxy_between_the_usual_header_will_do(access: StatusAccess) -> None:
    assert await access.refusal(request(f"Bearer {GOOD}", name="authorization")) is None


@pytest.mark.parametrize(
    "shown", ["", "admin", token(aud=["https://kubernetes.default.svc"], exp=10_000), token(aud=[])]
)
async def test_what_cannot_be_a_token_for_us_is_refused_and_nobody_asked(
    access: StatusAccess, api: ApiServer, shown: str
) -> None:
    status, text = said(await access.refusal(request(shown)))
    assert (status, "audience felix-py is needed, in the header X-Felix-Token" in text) == (403, True)
    assert not api.asked


async def test_a_token_that_somebody_made_up_is_refused(access: StatusAccess) -> None:
    status, text = said(await access.refusal(request(token(aud=["felix-py"], exp=99_999))))
    assert (status, text) == (403, "/felix/status: the API server does not accept the token\n")


async def test_who_has_no_role_is_refused_by_name_and_page(access: StatusAccess) -> None:
    status, text = said(await access.refusal(request(path="/felix/routes")))
    assert status == 403
    assert f"no role lets {KNOWN.user} get it" in text and "nonResourceURLs /felix/routes" in text


async def test_who_was_admitted_costs_nothing_for_a_minute_and_is_looked_at_again(
    access: StatusAccess, api: ApiServer, time: Time
) -> None:
    for _ in range(50):
        assert await access.refusal(request()) is None
    assert api.asked == 1
    api.allowed.clear()
    time.now += ADMITTED_SECONDS
    assert said(await access.refusal(request()))[0] == 403


async def test_a_token_that_expires_is_not_kept_beyond_its_end(
    access: StatusAccess, api: ApiServer, time: Time
) -> None:
    time.now = 9_990.0
    assert await access.refusal(request()) is None
    api.tokens.clear()
    time.now = 10_000.0
    assert said(await access.refusal(request()))[0] == 403


async def test_who_was_refused_costs_nothing_for_a_while_and_may_get_the_right_then(
    access: StatusAccess, api: ApiServer, time: Time
) -> None:
    for _ in range(50):
        assert said(await access.refusal(request(path="/felix/routes")))[0] == 403
    assert api.asked == 1
    api.allowed.add("/felix/routes")
    time.now += REFUSED_SECONDS
    assert await access.refusal(request(path="/felix/routes")) is None


async def test_all_who_show_one_token_at_once_are_one_question(access: StatusAccess, api: ApiServer) -> None:
    assert await asyncio.gather(*[access.refusal(request()) for _ in range(20)]) == [None] * 20
    assert api.asked == 1


async def test_a_token_that_has_ended_long_ago_or_never_does_is_refused_and_nobody_asked(
    access: StatusAccess, api: ApiServer, time: Time
) -> None:
    time.now = 10_000.0 + LEEWAY_SECONDS + 1
    assert "the token ended 301 s ago by this node's clock" in said(await access.refusal(request()))[1]
    assert "does not say when it ends" in said(await access.refusal(request(token(aud=["felix-py"]))))[1]
    assert not api.asked


async def test_a_flood_of_tokens_does_not_reach_the_api_server(access: StatusAccess, api: ApiServer) -> None:
    assert await access.refusal(request()) is None  # from the API server's address, as all that it passes on
    answers = [
        said(await access.refusal(request(token(aud=["felix-py"], exp=10_000, n=n), source=f"10.65.0.{n % 250}")))[0]
        for n in range(2000)
    ]
    assert api.asked <= 1 + OF_STRANGERS.at_once
    assert answers.count(429) == len(answers) - answers.count(403)
    assert await access.refusal(request()) is None
    other = token(aud=["felix-py"], exp=20_000)
    api.tokens.add(other)
    assert await access.refusal(request(other)) is None, "who is known is not kept away by the flood"


async def test_a_flood_that_lasts_is_asked_about_ever_more_rarely(
    access: StatusAccess, api: ApiServer, time: Time
) -> None:
    seconds = 1000
    for n in range(seconds):
        time.now = float(n)
        await access.refusal(request(token(aud=["felix-py"], exp=10_000, n=n), source=f"10.65.0.{n % 250}"))
    assert api.asked <= 2 * OF_STRANGERS.at_once + seconds * OF_STRANGERS.least_per_second


@pytest.mark.parametrize("error", [Unavailable("review a token: it is away"), Forbidden("the role lacks it (403)")])
async def test_while_nobody_can_be_asked_only_who_was_admitted_sees_anything(
    access: StatusAccess, api: ApiServer, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    assert await access.refusal(request()) is None
    api.error = error
    status, text = said(await access.refusal(request(path="/felix/routes")))
    assert (status, f"so it is not shown: {error}; try again" in text) == (503, True)
    assert f"find out who asks for /felix/routes: {error}" in caplog.text
    assert await access.refusal(request()) is None
    api.error = None
    assert said(await access.refusal(request(path="/felix/routes")))[0] == 403, "the error was not kept"


async def test_an_api_server_that_hangs_is_waited_for_shortly(
    access: StatusAccess, api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_access, "REVIEW_SECONDS", 0.01)
    api.hangs = True
    status, text = said(await access.refusal(request()))
    assert (status, "no answer within 0.01 s" in text) == (503, True)


async def test_who_leaves_while_the_api_server_is_asked_ends_nothing(access: StatusAccess, api: ApiServer) -> None:
    api.error = Unavailable("away")
    leaves = asyncio.create_task(access.refusal(request()))
    await asyncio.sleep(0)
    leaves.cancel()
    await asyncio.gather(leaves, return_exceptions=True)
    api.error = None
    assert said(await access.refusal(request(path="/felix/routes")))[0] == HTTPStatus.FORBIDDEN


async def test_what_is_no_page_is_asked_of_nobody(access: StatusAccess, api: ApiServer) -> None:
    assert await access.refusal(request(path="/metrics")) is None
    assert not api.asked
