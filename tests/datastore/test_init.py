"""Which store a URL names."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

import datastore
from datastore.errors import Invalid


@pytest.mark.parametrize(
    "url", ["", "felix.db", "/var/lib/felix.db", "sqlite:", "sqlite://felix.db", "sqlite:///folder/", "etcd:///x"]
)
def test_a_url_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match=f'open datastore "{url}"'):
        datastore.open(url)


def test_opening_imports_only_the_store_in_question() -> None:
    script = """
        import sys
        import datastore
        assert not {"pydantic", "sqlite3", "asyncio"} & sys.modules.keys()
        datastore.open("sqlite:///nowhere/felix.db")
        assert "sqlite3" in sys.modules
        assert not {"kubernetes", "yaml", "pyroute2", "typer", "rich", "exabgp"} & sys.modules.keys()
        print("ok")
    """
    code = textwrap.dedent(script)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "ok\n"
