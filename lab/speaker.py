"""Which foreign speakers a lab may peer with: real programs, each in a small file of its own.

Such a file says which programs of which Debian package it takes, how they are configured and run, and how to find out
which sessions are up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab import bird, frr, gobgp
from lab.node_namespace import Place
from lab.service import Service
from lab.spec import NodeSpec, PeerSpec


@dataclass(frozen=True, slots=True)
class Program:
    """What one of those files says."""

    package: str
    files: tuple[str, ...]
    services: Callable[[Place, PeerSpec, Iterable[NodeSpec]], tuple[Service, ...]]
    """Writes the configuration of a peer and returns what runs it; the last one has the speaker's own name."""
    established: Callable[[Place], Awaitable[int]]
    """Returns how many sessions the speaker says are up; none while it does not answer."""


PROGRAMS: Mapping[str, Program] = {
    "bird": Program(bird.PACKAGE, bird.PROGRAMS, bird.services, bird.established),
    "frr": Program(frr.PACKAGE, frr.PROGRAMS, frr.services, frr.established),
    "gobgp": Program(gobgp.PACKAGE, gobgp.PROGRAMS, gobgp.services, gobgp.established),
}


class Speaker:
    """One speaker that runs."""

    def __init__(self, place: Place, peer: PeerSpec, nodes: Iterable[NodeSpec]) -> None:
        self.place, self.name = place, peer.speaker
        self._program = PROGRAMS[peer.speaker]
        self.services = self._program.services(place, peer, nodes)

    def start(self) -> None:
        for service in self.services:
            service.start()

    def kill(self) -> bool:
        """Kill the program that has the sessions; it comes back. False if it is not running just now."""
        return self.services[-1].kill()

    async def established(self) -> int:
        return await self._program.established(self.place)


def missing_packages(peers: Iterable[PeerSpec]) -> list[str]:
    """Return the Debian packages that these peers need and this machine lacks."""
    wanted = {peer.speaker: PROGRAMS[peer.speaker] for peer in peers}
    return sorted(each.package for each in wanted.values() if not all(Path(file).exists() for file in each.files))
