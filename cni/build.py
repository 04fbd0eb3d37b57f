"""Builds the shim: `python -m cni.build OUT`. Static, so that it runs on any host of this processor."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-s")


def build(out: Path, compiler: str = "gcc") -> bool:
    """Compile the shim to `out`, if it is older than its source; return whether it was.

    Written beside it and renamed: a runtime may be executing the old one.
    Raises RuntimeError: the compiler is missing or refused.
    """
    if out.exists() and out.stat().st_mtime >= SOURCE.stat().st_mtime:
        return False
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        fresh = Path(folder) / out.name
        try:
            ran = subprocess.run([compiler, *FLAGS, "-o", fresh, SOURCE], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise RuntimeError(
                f"build {out}: there is no {compiler}; install it with: apt install gcc libc6-dev"
            ) from None
        if ran.returncode:
            raise RuntimeError(f"build {out} from {SOURCE}: {compiler} refused: {ran.stderr.strip()}")
        fresh.rename(out)
    return True


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m cni.build OUT", file=sys.stderr)
        return 2
    try:
        build(Path(arguments[0]))
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
