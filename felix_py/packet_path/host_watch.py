"""Watches what of the host keeps pods' packets from their way: packet filters, sysctls, another network's file.

An edge: it reads, logs what is new and what is over, and leaves the sentences in the agent's progress, from which
readiness, status and metrics have them. Nothing of the host is changed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from bgp.speaker import Speaker
from cni.configurations import BINARY, CONFLIST
from cni.install import comes_first
from cni.pod_network import ANYWHERE
from felix_py.agent import Agent
from felix_py.host.pod_names import prefix_notices
from felix_py.packet_path import neighbour_room
from felix_py.packet_path.filter_facts import CalledSession, filtered_forwarding, filtered_sessions
from felix_py.packet_path.host_warnings import in_the_way
from felix_py.packet_path.kernel_facts import packet_filters, with_devices
from felix_py.packet_path.neighbour_room import NeighbourRoom
from felix_py.routes.rib import Source
from felix_py.status_model import Filtered
from kernel.netlink import KernelError
from kernel.sysctl import read_sysctls
from net.packet_filter import PacketFilters
from net.prefix import pack

log = logging.getLogger("felix.host")

SECONDS = 15.0
LEAST_REST = 100  # times what a look took: filters of thousands of rules take their time to read

FORWARDING = {4: "net/ipv4/ip_forward", 16: "net/ipv6/conf/all/forwarding"}
"""By the bytes of an address."""

ReadSysctls = Callable[[Iterable[str]], Mapping[str, str]]
ReadFilters = Callable[[Mapping[int, str]], PacketFilters]
LookUp = Callable[[Iterable[CalledSession], Mapping[int, str]], list[CalledSession]]


class HostWatch:
    """conf_dir: where the container runtime looks for configurations; None: that is not watched over."""

    def __init__(
        self,
        agent: Agent,
        conf_dir: Path | None,
        read: ReadFilters = packet_filters,
        seconds: float = SECONDS,
        sysctls: ReadSysctls = read_sysctls,
        look_up: LookUp = with_devices,
    ) -> None:
        self._agent, self._conf_dir, self._read, self._seconds = agent, conf_dir, read, seconds
        self._read_sysctls, self._look_up = sysctls, look_up
        self._unread: tuple[str, ...] = ()

    async def run(self) -> None:
        """Look again and again, once routes are written."""
        await self._agent.ready()
        while True:
            begun = time.monotonic()
            await self.look()
            await asyncio.sleep(max(self._seconds, LEAST_REST * (time.monotonic() - begun)))

    async def look(self) -> None:
        """Read the host now, and note what is in the way."""
        agent, progress = self._agent, self._agent.progress
        names = dict(agent.host.names)
        filters = await asyncio.to_thread(self._read, names)
        sessions = await self._sessions(names)
        for sentence in set(filters.unread) - set(self._unread):
            log.warning("look at this host's packet filters: %s; what they drop is not known", sentence)
        self._unread = filters.unread
        first = comes_first(self._conf_dir) if self._conf_dir else None
        pods = list(self._pods())
        off = [name for name, value in self._switches(len(address) for address, _ in pods).items() if value == "0"]
        filtered = self._filtered(filters, pods, sessions)
        crowded = self._crowded(sessions)
        found = in_the_way(filtered, off, first or "", self._conf_dir, CONFLIST, self._missing_plugin(), crowded)
        agent.log_notices(agent.notices.put("devices", prefix_notices(names.values(), agent.settings.interface_prefix)))
        for warning in found:
            if warning not in progress.in_the_way:
                log.warning("%s", warning)
        for warning in progress.in_the_way:
            if warning not in found:
                log.info("over: %s", warning)
        progress.in_the_way = found

    def _crowded(self, sessions: Iterable[CalledSession]) -> Iterator[NeighbourRoom]:
        agent = self._agent
        limits = self._read_sysctls(neighbour_room.SYSCTLS.values())
        pods = [address.packed for pod in agent.snapshot.endpoints.values() for address in pod.addresses]
        return neighbour_room.too_small(limits, [session.peer for session in sessions], pods, agent.host.addresses)

    def _missing_plugin(self) -> Path | None:
        """Return where the runtime looks for our plugin, if it is not there."""
        place = self._agent.settings.cni_bin_dir / BINARY
        return None if self._conf_dir is None or place.exists() else place

    async def _sessions(self, names: Mapping[int, str]) -> list[CalledSession]:
        """Return this node's BGP sessions, with the devices towards their peers where they can be looked up."""
        called = called_sessions(self._agent.peering.client.speaker)
        try:
            return await asyncio.to_thread(self._look_up, called, names)
        except KernelError:
            return called

    def _filtered(
        self, filters: PacketFilters, pods: Iterable[tuple[bytes, str]], sessions: Iterable[CalledSession]
    ) -> Iterator[Filtered]:
        for pod in pods:
            yield from filtered_forwarding(filters, pod, self._elsewhere(len(pod[0])))
        yield from filtered_sessions(filters, sessions)

    def _switches(self, sizes: Iterable[int]) -> Mapping[str, str]:
        """Return the sysctls of forwarding, for families by the bytes of their addresses."""
        read = self._read_sysctls([FORWARDING[size] for size in sizes])
        return {path.replace("/", "."): value for path, value in read.items()}

    def _pods(self) -> Iterator[tuple[bytes, str]]:
        """Yield for each family an address that a pod of this node has or would have, and its device."""
        found: dict[int, tuple[bytes, str]] = {}
        for block in self._agent.snapshot.own_blocks():
            found[len(block.packed)] = block.packed, f"{self._agent.settings.interface_prefix}0"
        for pod in self._agent.snapshot.endpoints.values():
            for address in pod.addresses:
                found[len(address.packed)] = address.packed, pod.device
        yield from found.values()

    def _elsewhere(self, size: int) -> tuple[bytes, str | None]:
        """Return an address of another node's block and the device towards it; of anywhere if none is known."""
        for source in (Source.TUNNELS, Source.LEARNED):
            for prefix, spec in self._agent.routing.rib.wanted(source).items():
                if len(prefix.packed) == size and len(spec.hops) == 1:
                    return prefix.packed, self._agent.host.names.get(spec.hops[0].device)
        return ANYWHERE[size], None


def called_sessions(speaker: Speaker | None) -> list[CalledSession]:
    """Return who calls whom in each session of this node. An outside peer may call as well."""
    return [
        CalledSession(
            pack(one.local_address),
            pack(one.address),
            one.passive,
            speaker.port if speaker and one.passive else one.port,
            either=not one.is_node,
        )
        for one in (speaker.neighbours if speaker else ())
        if "%" not in one.address and len(pack(one.address)) == len(pack(one.local_address))
    ]
