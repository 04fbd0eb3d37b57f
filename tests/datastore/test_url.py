from __future__ import annotations

from pathlib import Path

import pytest

from datastore.errors import Invalid
from datastore.record import CRD, V3
from datastore.url import GROUPS, KubernetesApi, SqliteFile, StoreAddress, has_namespaces, parse_url, with_choice


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("sqlite:///srv/felix/cluster.db", SqliteFile(Path("/srv/felix/cluster.db"))),
        ("sqlite:////srv/cluster.db", SqliteFile(Path("/srv/cluster.db"))),
        ("sqlite:///srv/a%20b.db", SqliteFile(Path("/srv/a b.db"))),
        ("sqlite:///:memory:", SqliteFile(None)),
        ("kubernetes://", KubernetesApi(None, None)),
        ("kubernetes://?context=lab", KubernetesApi(None, "lab")),
        ("kubernetes:///etc/k/config?context=a%20b", KubernetesApi(Path("/etc/k/config"), "a b")),
        ("kubernetes://?group=projectcalico.org/v3", KubernetesApi(None, None, V3)),
        ("kubernetes:///k?context=a&group=crd.projectcalico.org%2Fv1", KubernetesApi(Path("/k"), "a", CRD)),
    ],
)
def test_a_url_names_a_file_memory_or_an_api(url: str, address: StoreAddress) -> None:
    assert parse_url(url) == address


@pytest.mark.parametrize(
    "url", ["", "srv/cluster.db", "etcd://10.0.0.1", "sqlite://", "sqlite://cluster.db", "sqlite:///srv/", "sqlite:///%2f",
            "sqlite:///a%00b", "kubernetes:", "kubernetes://config", "kubernetes:///etc/", "kubernetes://?user=a",
            "kubernetes://?context=", "kubernetes://?context=a&context=b", "kubernetes://?group=",
            "kubernetes://?group=projectcalico.org", "kubernetes://?group=projectcalico.org/v3&group=projectcalico.org/v3"]
)  # fmt: skip
def test_a_url_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match="open datastore"):
        parse_url(url)


def test_the_groups_are_those_of_the_records() -> None:
    assert GROUPS == (CRD, V3)


def test_a_choice_is_added_to_what_was_chosen() -> None:
    url = with_choice(with_choice("kubernetes:///k", "group", V3), "context", "a b&c")
    assert url == "kubernetes:///k?group=projectcalico.org/v3&context=a%20b%26c"
    assert parse_url(url) == KubernetesApi(Path("/k"), "a b&c", V3)


def test_kubernetes_alone_has_namespaces() -> None:
    assert has_namespaces("kubernetes:///etc/k/config?context=a")
    assert not has_namespaces("sqlite:///srv/cluster.db")
    with pytest.raises(Invalid, match="open datastore"):
        has_namespaces("etcd://10.0.0.1")
