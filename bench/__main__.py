"""`python -m bench NAME …` runs the benchmarks named, `all` those that have goals, each in a process of its own.

`python -m bench compare OLD NEW NAME …` compares two checkouts; `python -m bench.NAME ROUNDS` runs one in more or,
for a trial, in fewer rounds.
"""

from __future__ import annotations

import importlib
import subprocess
import sys

from bench import compare
from lab.interruption import INTERRUPTED, ends_in_order

WITH_GOALS = ("fib", "cni", "kube", "mesh", "repair", "restart", "memory", "cli", "growth")
OTHERS = ("flood", "watch")


def main(wanted: list[str]) -> int:
    try:
        with ends_in_order():
            return _run(wanted)
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(wanted: list[str]) -> int:
    match wanted:
        case ["compare", *more]:
            compare.main(more)
            return 0
        case ["alone", name]:
            return importlib.import_module(f"bench.{name}").main([]) or 0
    names = [*WITH_GOALS, *OTHERS]
    chosen = list(WITH_GOALS) if wanted == ["all"] else wanted
    if not chosen or not set(chosen) <= set(names):
        print(f"usage: python -m bench NAME …   (names: {', '.join(names)}; also: all, compare)", file=sys.stderr)
        return 2
    failed = [name for name in chosen if not _ran(name)]
    if failed:
        print(f"bench: {', '.join(failed)} failed; the message is above", file=sys.stderr)
    return 1 if failed else 0


def _ran(name: str) -> bool:
    """Run one in a process of its own, as some move to a network namespace for good; return whether it succeeded.

    Interrupted, it is waited for until it has ended what it has started.
    """
    print(f"bench {name}", flush=True)
    with subprocess.Popen([sys.executable, "-m", "bench", "alone", name]) as process:
        try:
            return process.wait() == 0
        except KeyboardInterrupt:
            print(f"bench: {name} is interrupted; nothing of it is written", file=sys.stderr, flush=True)
            process.terminate()  # a Ctrl-C has reached it too, what was sent to this process alone has not
            process.wait()
            raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
