from __future__ import annotations

from pathlib import Path

import pytest

from datastore.errors import Invalid
from datastore.url import KubernetesApi, SqliteFile, StoreAddress, has_namespaces, parse_url


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
    ],
)
def test_a_url_names_a_file_memory_or_an_api(url: str, address: StoreAddress) -> None:
    assert parse_url(url) == address


@pytest.mark.parametrize(
    "url", ["", "srv/cluster.db", "etcd://10.0.0.1", "sqlite://", "sqlite://cluster.db", "sqlite:///srv/", "sqlite:///%2f",
            "sqlite:///a%00b", "kubernetes:", "kubernetes://config", "kubernetes:///etc/", "kubernetes://?user=a",
            "kubernetes://?context=", "kubernetes://?context=a&context=b"]
)  # fmt: skip
def test_a_url_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match="open datastore"):
        parse_url(url)


def test_kubernetes_alone_has_namespaces() -> None:
    assert has_namespaces("kubernetes:///etc/k/config?context=a")
    assert not has_namespaces("sqlite:///srv/cluster.db")
    with pytest.raises(Invalid, match="open datastore"):
        has_namespaces("etcd://10.0.0.1")
