"""BGP beside BIRD: sessions up, what peers announce into the kernel, what it takes at rest; and a new block.

`python -m bench.mesh [ROUNDS]`. The far peers are plain speakers in one process (`bench.far_peers`), the same for both.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bench import at_rest, new_block, sessions, updates
from bench.result import report, rounds_of


def main(arguments: Sequence[str]) -> int:
    rounds = rounds_of(arguments)
    rows = [*sessions.rows(rounds), *updates.rows(rounds), at_rest.row(rounds), *new_block.rows(rounds)]
    report("mesh", rows, rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
