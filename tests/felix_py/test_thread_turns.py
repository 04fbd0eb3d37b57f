"""The figure, in a process of its own: it holds for the whole process."""

from __future__ import annotations

import subprocess
import sys


def test_a_thread_that_comes_back_from_the_kernel_waits_for_less_than_a_batch_takes_there() -> None:
    program = "import sys; from felix_py.thread_turns import apply; apply(); print(sys.getswitchinterval() < 0.001)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
