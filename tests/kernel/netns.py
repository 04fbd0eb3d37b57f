"""Network namespaces for tests: made by `ip`, known by name and descriptor, gone at the end."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

PATIENCE_SECONDS = 20.0
_serial = itertools.count()


@dataclass(frozen=True)
class Namespace:
    name: str
    descriptor: int

    def ip(self, words: str) -> str:
        """Run `ip` inside, an independent witness; return what it prints."""
        return _run("ip", "-n", self.name, *words.split())

    def batch(self, lines: str) -> None:
        """Run many `ip` commands in one process."""
        subprocess.run(["ip", "-n", self.name, "-batch", "-"], input=lines, text=True, check=True, capture_output=True)

    def await_own(self, address: str) -> None:
        """Wait until an IPv6 address is this namespace's own: the kernel sees to that a while after it was added."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while f"local {address} " not in self.ip("-6 route show table local"):
            assert time.monotonic() < deadline, f"{address} is not an own address of {self.name}"
            time.sleep(0.01)

    def run(self, *words: str) -> str:
        """Run a command inside. The lock that iptables takes is the namespace's own: /run is the host's."""
        lock = f"XTABLES_LOCKFILE=/run/netns/{self.name}"
        return _run("env", lock, "ip", "netns", "exec", self.name, *words)


@contextmanager
def namespace(label: str) -> Iterator[Namespace]:
    name = f"felix-{label}-{os.getpid()}-{next(_serial)}"
    _run("ip", "netns", "add", name)
    descriptor = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield Namespace(name, descriptor)
    finally:
        os.close(descriptor)
        _run("ip", "netns", "del", name)


def _run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout
