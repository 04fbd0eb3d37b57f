"""`python -m felix_py`: the agent's program."""

from __future__ import annotations

import gc
import sys


def main() -> int:
    """Run the agent; return the process's exit code: 0 after SIGTERM, 1 if it cannot go on, 2 for a bad setting."""
    gc.disable()  # until felix_py.gc_tuning: what is loaded is no garbage; looking for some took a twelfth of the time
    from felix_py.process import run  # imported late, so that the line before is in force

    return run()


if __name__ == "__main__":
    sys.exit(main())
