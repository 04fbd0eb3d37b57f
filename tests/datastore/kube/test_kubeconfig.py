from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from datastore.errors import Invalid
from datastore.kube.kubeconfig import ConfigFile, choose, context_fault, current_context, inline, refusal


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


def config(folder: str, *, name: str = "a", cluster: object = None, user: object = None, **more: object) -> ConfigFile:
    """Return a file with one context, whose cluster and user have its name too."""
    found = {
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        **more,
    }
    return ConfigFile(Path(folder), found)


def test_what_stands_first_counts_and_paths_are_meant_from_their_file() -> None:
    first = config("/one", user={"tokenFile": "token"}, clusters=[])
    second = config("/two", cluster={"server": "https://two", "certificate-authority": "ca"}, user={"token": "no"})
    found = choose([first, second], "a")
    assert found.cluster == {"server": "https://two", "certificate-authority": "/two/ca"}
    assert found.user == {"tokenFile": "/one/token"}


def test_a_context_without_a_user_is_nobodys() -> None:
    contexts = [{"name": "a", "context": {"cluster": "a"}}]
    assert choose([config("/", cluster={"server": "s"}, contexts=contexts)], "a").user == {}


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (config("/", clusters=[]), 'context "a" names the cluster "a", which is not there'),
        (config("/", cluster={"server": "s"}, users="none"), 'context "a" names the user "a", which is not there'),
        (config("/", cluster={}), 'the cluster "a" of context "a" names no server'),
        (config("/", cluster=None), 'the cluster "a" of context "a" names no server'),
        (config("/", cluster={"server": "s"}, user={"as": "root"}), "as: acting as another user"),
    ],
)
def test_a_context_that_cannot_be_used_is_refused_with_the_reason(file: ConfigFile, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        choose([file], "a")


def test_what_is_inline_is_base64() -> None:
    assert inline({"client-key-data": "a2V5"}, "client-key") == b"key"
    assert inline({"client-key-data": "", "client-key": "path"}, "client-key") is None
    with pytest.raises(Invalid, match="client-key-data is not base64"):
        inline({"client-key-data": "a2V"}, "client-key")
