"""The collector's figures, in a process of its own: they hold for the whole process."""

from __future__ import annotations

import subprocess
import sys


def test_what_exists_is_out_of_the_search_without_one_and_the_search_is_rare() -> None:
    program = (
        "import gc; from felix_py.gc_tuning import apply; gc.disable(); searches = []; "
        "gc.callbacks.append(lambda *_: searches.append(1)); apply(); "
        "print(gc.get_threshold(), gc.get_freeze_count() > 0, gc.isenabled(), searches)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "(50000, 20, 50) True True []\n"
