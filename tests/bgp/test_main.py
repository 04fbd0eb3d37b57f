"""`python -m bgp`: what the sidecar's program loads."""

from __future__ import annotations

import subprocess
import sys


def test_the_sidecar_loads_neither_openssl_nor_what_is_left_out() -> None:
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "bgp", "--help"], capture_output=True, text=True, check=True
    ).stderr
    names = {line.rpartition("|")[2].strip() for line in loaded.splitlines()}
    assert {"asyncio", "bgp.sidecar"} <= names
    assert not names & {"_ssl", "_hashlib"}, "they bring OpenSSL's libraries along"
    assert not names & {"argparse", "ast", "inspect", "ipaddress"}, "see bgp/left_out.py"


def test_garbage_is_looked_for_seldom_and_not_in_what_was_loaded() -> None:
    program = (
        "import atexit, gc, sys; from bgp.__main__ import main; sys.argv = ['bgp', '--help']; "
        "atexit.register(lambda: print(gc.get_threshold(), gc.get_freeze_count() > 0, gc.isenabled())); main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "(50000, 20, 50) True True"
