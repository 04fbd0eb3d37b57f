from __future__ import annotations

from typing import Any

import pytest

from datastore.kube.kubeconfig import current_context, refusal


def test_the_first_file_that_names_a_context_decides_as_for_kubectl() -> None:
    assert current_context([{"current-context": ""}, {"current-context": "a"}, {"current-context": "b"}]) == "a"
    assert current_context([{}, None, []]) is None


@pytest.mark.parametrize(
    ("cluster", "user", "why"),
    [
        ({"server": "https://a"}, {"token": "t"}, None),
        ({"server": "https://a", "tls-server-name": "b", "disable-compression": True}, {"exec": {}}, None),
        ({"proxy-url": "socks5://p:1080"}, {}, 'proxy-url "socks5://p:1080"'),
        ({}, {"as": "root", "as-groups": ["system:masters"]}, "as, as-groups: acting as another user"),
        ({}, {"auth-provider": {"name": "azure"}}, 'auth-provider "azure"'),
        ({}, {"auth-provider": {"name": "oidc"}}, None),
    ],
)
def test_what_cannot_be_obeyed_is_refused_with_a_reason(
    cluster: dict[str, Any], user: dict[str, Any], why: str | None
) -> None:
    found = refusal(cluster, user)
    assert found is None if why is None else why in str(found)
