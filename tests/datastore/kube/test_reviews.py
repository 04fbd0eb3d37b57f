"""Who bears a token and what they may do, as a real API server says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.error import HTTPError

import pytest

from datastore.errors import Forbidden
from datastore.kube.access import read_access
from datastore.kube.client import ApiClient
from datastore.kube.pod_pages import PodPages
from datastore.kube.reviews import AccessReviews
from tests.kube.bed import Bed
from tests.kube.control_plane import ADMIN_TOKEN
from tests.kube.roles import NODE, STATUS, VIEWER, install_roles

ACCOUNT = f"system:serviceaccount:kube-system:{STATUS}"


@pytest.fixture
async def client(started_bed: Bed) -> AsyncIterator[ApiClient]:
    """The administrator's."""
    await install_roles(started_bed)
    found = ApiClient(started_bed.access)
    yield found
    await found.close()


@pytest.fixture
async def agent(started_bed: Bed, client: ApiClient) -> AsyncIterator[AccessReviews]:
    """An agent's, which has the right to ask and few others."""
    found = ApiClient(lambda: read_access(str(started_bed.control_plane.kubeconfig_of(NODE))))
    yield AccessReviews(found)
    await found.close()


async def test_the_bearer_of_a_token_for_us_is_known_and_its_role_counts(
    client: ApiClient, agent: AccessReviews
) -> None:
    token = await PodPages(client).token("kube-system", STATUS, "felix-py")
    subject = await agent.bearer(token, "felix-py")
    assert subject is not None and subject.user == ACCOUNT and "system:serviceaccounts" in subject.groups
    assert await agent.may_get(subject, "/felix/status")
    assert not await agent.may_get(subject, "/metrics")


async def test_a_token_for_another_audience_has_no_bearer(client: ApiClient, agent: AccessReviews) -> None:
    token = await PodPages(client).token("kube-system", STATUS, "https://kubernetes.default.svc")
    assert await agent.bearer(token, "felix-py") is None


@pytest.mark.parametrize("token", ["made up", "e30.e30.e30", ADMIN_TOKEN])
async def test_what_the_api_server_did_not_make_for_us_has_no_bearer(agent: AccessReviews, token: str) -> None:
    assert await agent.bearer(token, "felix-py") is None


async def test_a_token_for_us_is_worth_nothing_to_the_api_server(started_bed: Bed, client: ApiClient) -> None:
    token = await PodPages(client).token("kube-system", STATUS, "felix-py")
    with pytest.raises(HTTPError, match="401"):
        started_bed.control_plane.get("/api/v1/namespaces", token)


async def test_who_lacks_the_right_to_ask_hears_so(started_bed: Bed, client: ApiClient) -> None:
    viewer = ApiClient(lambda: read_access(str(started_bed.control_plane.kubeconfig_of(VIEWER))))
    token = await PodPages(client).token("kube-system", STATUS, "felix-py")
    with pytest.raises(Forbidden, match=r"review a token: .* the role of this account lacks it") as raised:
        await AccessReviews(viewer).bearer(token, "felix-py")
    assert token not in str(raised.value)
    await viewer.close()
