"""The sidecar's command line. Pure: argparse, with what it imports, would stay for good, and takes 0.5 MB."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

HELP = """usage: python -m bgp [OPTION]...

Own this node's BGP sessions.

  --socket PATH            where the agent connects (/run/felix/bgp/bgp.sock)
  --state-dir PATH         where ExaBGP's files lie (/run/felix/bgp)
  --timeout-factor NUMBER  multiplies every deadline of ExaBGP (1)
  --health-port PORT       answer probes on this port of 127.0.0.1 (0: do not)
  --leave                  withdraw everything and end the running sidecar
  --help                   show this
"""


class Options(NamedTuple):
    socket: Path = Path("/run/felix/bgp/bgp.sock")
    state_dir: Path = Path("/run/felix/bgp")
    timeout_factor: float = 1.0
    health_port: int = 0
    leave: bool = False
    help: bool = False


TYPES = {"--socket": Path, "--state-dir": Path, "--timeout-factor": float, "--health-port": int}
"""Of the options that have a value: `--name VALUE` or `--name=VALUE`, the last one counts."""


def options(words: Sequence[str]) -> Options:
    """Raises ValueError: a sentence that says which word is not understood."""
    found: dict[str, object] = {}
    rest = list(reversed(words))
    while rest:
        word = rest.pop()
        name, separate, text = word.partition("=")
        field = name.removeprefix("--").replace("-", "_")
        if word in ("--leave", "--help"):
            found[field] = True
        elif name in TYPES:
            if not separate and not rest:
                raise ValueError(f"{word}: a value is missing")
            text = text if separate else rest.pop()
            try:
                found[field] = TYPES[name](text)
            except ValueError:
                raise ValueError(f"{name}: {text!r} is not a number") from None
        else:
            raise ValueError(f"{word!r} is no option of the sidecar")
    return Options(**found)  # type: ignore[arg-type]
