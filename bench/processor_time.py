"""The processor time of a running process."""

from __future__ import annotations

import os
from pathlib import Path


def spent_ms(process: int) -> float:
    """Return what a process, all its threads, took so far, in milliseconds; counted in ticks of 10 ms."""
    numbers = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) * 1e3 / os.sysconf("SC_CLK_TCK")


def processor_seconds(process: int) -> float:
    """Return the time that the living threads of a process have spent, and the kernel for them; to the nanosecond."""
    tasks = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9
