"""`python -m bench NAME …` runs the benchmarks named; `python -m bench compare OLD NEW NAME …` compares checkouts."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from bench import compare

PARTS = ("bare_read", "full_cluster", "kube_cni")
"""Of other benchmarks."""
NOT_BENCHMARKS = ("__init__", "__main__", "api_server", "assigns", "compare", "processor_time", "result", *PARTS)


def names() -> list[str]:
    """Return the benchmarks: each is a module of this package with a `main`."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in NOT_BENCHMARKS)


def main(wanted: list[str]) -> int:
    if wanted[:1] == ["compare"]:
        compare.main(wanted[1:])
        return 0
    known = names()
    if not wanted or not set(wanted) <= set(known):
        print(f"usage: python -m bench NAME …   (names: {', '.join(known)}; also: compare)", file=sys.stderr)
        return 2
    for name in wanted:
        import_module(f"bench.{name}").main([])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
