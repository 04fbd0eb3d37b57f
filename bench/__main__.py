"""`python -m bench NAME …` runs the benchmarks named, `all` those that have goals, each in a process of its own.

`python -m bench compare OLD NEW NAME …` compares two checkouts; `python -m bench.NAME ROUNDS` runs one in more or,
for a trial, in fewer rounds.
"""

from __future__ import annotations

import subprocess
import sys

from bench import compare

WITH_GOALS = ("fib", "cni", "kube", "mesh", "repair", "restart", "memory", "cli", "growth")
OTHERS = ("flood", "watch")


def main(wanted: list[str]) -> int:
    if wanted[:1] == ["compare"]:
        compare.main(wanted[1:])
        return 0
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
    """Run one in a process of its own, as some move to a network namespace for good; return whether it succeeded."""
    print(f"bench {name}", flush=True)
    return subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
