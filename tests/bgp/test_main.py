"""`python -m bgp`: what the sidecar's program loads."""

from __future__ import annotations

import subprocess
import sys


def test_the_sidecar_does_not_load_openssl() -> None:
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "bgp", "--help"], capture_output=True, text=True, check=True
    ).stderr
    names = {line.rpartition("|")[2].strip() for line in loaded.splitlines()}
    assert {"asyncio", "bgp.sidecar"} <= names
    assert not names & {"_ssl", "_hashlib"}, "they bring OpenSSL's libraries along"
