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
