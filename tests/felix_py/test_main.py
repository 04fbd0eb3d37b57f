"""The agent's program: tests/felix_py/test_process.py has what its process does."""

from __future__ import annotations

import os
import subprocess
import sys


def test_nothing_is_searched_for_garbage_while_the_agent_is_loaded() -> None:
    program = (
        "import gc; from felix_py.__main__ import main; searches = []; "
        "gc.callbacks.append(lambda *_: searches.append(1)); print(main(), searches)"
    )
    environment = {**os.environ, "CALICO_ROUTER_ID": "foo"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "2 []\n"


def loaded(url: str, *names: str) -> str:
    """Run the agent's program until it can't make its folder; return its exit code and which of these it has loaded."""
    program = (
        "import sys; from felix_py.__main__ import main; "
        f"print(main(), *(name for name in {names} if sys.modules.get(name)))"
    )
    environment = {**os.environ, "FELIX_DATASTORE": url, "FELIX_RUN_DIR": "/proc/felix"}
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_without_an_api_server_no_openssl_is_loaded_and_never_what_looks_for_plugins() -> None:
    names = ("felix_py.agent", "ssl", "_ssl", "_hashlib", "email", "zipfile")
    assert loaded("sqlite:///nowhere/felix.db", *names) == "1 felix_py.agent"
    assert loaded("kubernetes:///nowhere", *names) == "1 felix_py.agent ssl _ssl"
