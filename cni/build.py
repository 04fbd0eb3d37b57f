"""Builds the shim: `python -m cni.build OUT`. Static, so that it runs on any host of this processor.

Against musl where that is there: it starts in half of the time that glibc takes to set itself up in a static program,
and the runtime starts the shim for each pod and verb.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
COMPILERS = ("musl-gcc", "gcc")
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-s", "-Wl,-z,noseparate-code")
"""noseparate-code: code and constants in the same pages, so that the kernel maps two pieces instead of four."""


def build(out: Path, compilers: Sequence[str] = COMPILERS, flags: Sequence[str] = FLAGS) -> bool:
    """Compile the shim to `out` by the first of these compilers that is there; return whether it was.

    It is not if `out` is newer than what it is made from. Written beside it and renamed: a runtime may be executing
    the old one. Raises RuntimeError: no compiler is there, or it refused.
    """
    if out.exists() and out.stat().st_mtime >= max(path.stat().st_mtime for path in (SOURCE, Path(__file__))):
        return False
    compiler = next(filter(shutil.which, compilers), None)
    if compiler is None:
        missing = " and no ".join(compilers)
        raise RuntimeError(f"build {out}: there is no {missing}; install one with: apt install gcc musl-tools")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        fresh = Path(folder) / out.name
        ran = subprocess.run([compiler, *flags, "-o", fresh, SOURCE], capture_output=True, text=True, check=False)
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
