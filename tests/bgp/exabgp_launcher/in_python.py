"""Code that is run in a Python of its own: where ExaBGP has been patched, it stays so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def in_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def patched(code: str = "") -> subprocess.CompletedProcess[str]:
    """Run `code` in a Python of its own, in which ExaBGP is as it is started: here it would stay so."""
    return in_python(
        "from bgp.exabgp_launcher.left_out import leave_out\nleave_out()\n"
        f"from bgp.exabgp_launcher.replacements import patch\npatch(0, 1)\n{code}"
    )
