from __future__ import annotations

from pathlib import Path

import pytest

from datastore.errors import Invalid
from datastore.url import sqlite_path


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///srv/felix/cluster.db", Path("/srv/felix/cluster.db")),
        ("sqlite:////srv/cluster.db", Path("/srv/cluster.db")),
        ("sqlite:///srv/a%20b.db", Path("/srv/a b.db")),
        ("sqlite:///:memory:", None),
    ],
)
def test_a_url_names_a_file_or_memory(url: str, path: Path | None) -> None:
    assert sqlite_path(url) == path


@pytest.mark.parametrize(
    "url", ["", "srv/cluster.db", "etcd://10.0.0.1", "sqlite://", "sqlite://cluster.db", "sqlite:///srv/", "sqlite:///%2f",
            "sqlite:///a%00b"]
)  # fmt: skip
def test_a_url_that_names_no_file_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match="open datastore"):
        sqlite_path(url)
