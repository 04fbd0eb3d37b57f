"""`python -m bench NAME …`: runs the benchmarks named, each a module of this package with a `main`."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path


def names() -> list[str]:
    own = ("__init__", "__main__", "result")
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in own)


def main(wanted: list[str]) -> int:
    known = names()
    if not wanted or not set(wanted) <= set(known):
        print(f"usage: python -m bench NAME …   (names: {', '.join(known)})", file=sys.stderr)
        return 2
    for name in wanted:
        import_module(f"bench.{name}").main([])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
