"""`python -m bgp`: the sidecar's program."""

from __future__ import annotations

import gc
import sys

from bgp.left_out import leave_out


def main() -> int:
    """Run the sidecar; return the process's exit code, as `bgp.process.run` does."""
    gc.disable()  # what is loaded is no garbage
    leave_out()
    from bgp.process import run  # imported late, so that the line before is in force

    gc.freeze()
    gc.enable()
    # With Python's own figures a tenth of a flood of routes went into looking at tuples that are in no cycle.
    gc.set_threshold(50_000, 20, 50)
    return run()


if __name__ == "__main__":
    sys.exit(main())
