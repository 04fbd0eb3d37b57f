from __future__ import annotations

import re
from typing import Any

import pytest

from datastore.kube.kubeconfig import context_fault, current_context, refusal


def test_the_first_file_that_names_a_context_decides_as_for_kubectl() -> None:
    assert current_context([{"current-context": ""}, {"current-context": "a"}, {"current-context": "b"}]) == "a"
    assert current_context([{}, None, []]) is None


@pytest.mark.parametrize(
    ("cluster", "user", "why"),
    [
        ({"server": "https://a"}, {"token": "t"}, None),
        ({"server": "https://a", "tls-server-name": "b", "disable-compression": True}, {"exec": {}}, None),
        ({"proxy-url": "socks5://p:1080"}, {}, 'proxy-url "socks5://p:1080"'),
        ({"insecure-skip-tls-verify": True}, {}, None),
        ({"insecure-skip-tls-verify": "false"}, {}, 'insecure-skip-tls-verify "false" is neither true nor false'),
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


def contexts(*names: str) -> dict[str, Any]:
    return {"contexts": [{"name": name, "context": {}} for name in names]}


@pytest.mark.parametrize(
    ("files", "chosen", "fault"),
    [
        ([contexts("a"), contexts("b", "a")], "b", None),
        ([contexts("a"), contexts("b", "a")], "c", 'there is no context "c": it has a, b'),
        ([contexts("a")], None, "no current-context is set there: name a context by --context or .*; it has a"),
        ([{}, None, {"contexts": {"name": "a"}}, {"contexts": [3, {"name": 4}]}], "a", "it has none"),
        ([contexts(*map(str, range(25)))], "a", "18, 19 and 5 more"),
    ],
)
def test_a_context_that_is_not_there_names_those_that_are(
    files: list[Any], chosen: str | None, fault: str | None
) -> None:
    found = context_fault(files, chosen)
    assert found is None if fault is None else re.search(fault, found or "")
