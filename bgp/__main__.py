"""`python -m bgp`: the sidecar's program."""

from __future__ import annotations

import gc
import sys


def main() -> int:
    """Run the sidecar; return the process's exit code, as `bgp.process.run` does."""
    gc.disable()  # what is loaded is no garbage
    # The sidecar speaks no TLS. asyncio asks whether its interpreter has ssl, and OpenSSL takes 1.5 MB.
    sys.modules["ssl"] = None  # type: ignore[assignment]
    from bgp.process import run  # imported late, so that the lines before are in force

    gc.freeze()
    gc.enable()
    return run()


if __name__ == "__main__":
    sys.exit(main())
