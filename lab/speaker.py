"""Which foreign speakers a lab may peer with: real programs, each in a small file of its own.

Such a file names the programs of a Debian package that it takes, configures and runs them, and finds out which sessions
are up.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from lab import bird, frr, gobgp
from lab.node_namespace import NodeNamespace
from lab.service import Service
from lab.spec import LabNodeSpec, PeerSpec


class SpeakerProgram(Struct, frozen=True):
    """What one of those files offers."""

    package: str
    files: tuple[str, ...]
    services: Callable[[NodeNamespace, PeerSpec, Iterable[LabNodeSpec]], tuple[Service, ...]]
    """Writes the configuration of a peer and returns what runs it; the last one has the speaker's own name."""
    established: Callable[[NodeNamespace], Awaitable[int]]
    """Returns how many sessions the speaker reports as up; none while it does not answer."""


PROGRAMS: Mapping[str, SpeakerProgram] = {
    "bird": SpeakerProgram(bird.PACKAGE, bird.PROGRAMS, bird.services, bird.established),
    "frr": SpeakerProgram(frr.PACKAGE, frr.PROGRAMS, frr.services, frr.established),
    "gobgp": SpeakerProgram(gobgp.PACKAGE, gobgp.PROGRAMS, gobgp.services, gobgp.established),
}


class ForeignSpeaker:
    """One speaker that runs beside the cluster."""

    def __init__(self, namespace: NodeNamespace, peer: PeerSpec, nodes: Iterable[LabNodeSpec]) -> None:
        self.namespace, self.name = namespace, peer.speaker
        self._program = PROGRAMS[peer.speaker]
        self.services = self._program.services(namespace, peer, nodes)

    def start(self) -> None:
        for service in self.services:
            service.start()

    def kill(self, number: signal.Signals) -> bool:
        """Send a signal to the program that has the sessions; ended, it is started again. False: it is not running."""
        return self.services[-1].kill(number)

    async def established(self) -> int:
        return await self._program.established(self.namespace)


def missing_packages(peers: Iterable[PeerSpec]) -> list[str]:
    """Return the Debian packages that these peers need and this machine lacks."""
    wanted = {peer.speaker: PROGRAMS[peer.speaker] for peer in peers}
    return sorted(each.package for each in wanted.values() if not all(Path(file).exists() for file in each.files))
