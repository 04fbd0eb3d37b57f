"""Four processes, one file, and kill -9 again and again.

n1 ─┐
n2 ─┼─► addresses.db        each line a worker writes to the pipe is known here before the store is asked,
n3 ─┤   pipe ─► the test    so at any moment it is known which addresses must be whose
n4 ─┘
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sqlite3
from collections.abc import Iterable
from ipaddress import ip_address
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

import datastore
from datastore.fields import Address
from datastore.kinds.pods import WorkloadEndpoint
from datastore.store import Store
from ipam.allocator import Allocator
from tests.ipam.worker import release_with_endpoint, work
from tests.ipam.world import config, node, owners, pool, violations

HOSTS = ("n1", "n2", "n3", "n4")
OPERATIONS, KILLS = 4_000, 50
PATIENCE_OPERATIONS = 10_000
"""Within these, workers without compare-and-swap have lost an address or given one twice."""

CLEAN_FORKS = multiprocessing.get_context("forkserver")
CLEAN_FORKS.set_forkserver_preload(["tests.ipam.worker"])


class Cluster:
    """The processes, what they have reported, and what follows from it."""

    def __init__(self, folder: Path, *, blind: bool = False) -> None:
        self.file, self.folder, self.blind = folder / "addresses.db", folder, blind
        pipe = folder / "pipe"
        os.mkfifo(pipe)
        # Open for writing too, so that it does not end when all workers are dead.
        self._lines = os.open(pipe, os.O_RDWR)
        self._rest = b""
        self.operations = 0
        self.lives = 0
        self.in_use: dict[Address, str] = {}
        self.unsure: dict[str, set[str]] = {host: set() for host in HOSTS}
        self.twice: list[str] = []
        asyncio.run(self._prepare())
        self.processes = {host: self.start(host) for host in HOSTS}

    async def _prepare(self) -> None:
        store = datastore.open(f"sqlite:///{self.file}")
        four, six = pool("four", "10.65.0.0/24", block_size=28), pool("six", "fd00::/121", block_size=124)
        for resource in (four, six, config(), *map(node, HOSTS)):
            await store.create(resource)
        await store.close()

    def start(self, host: str) -> BaseProcess:
        self.lives += 1
        process = CLEAN_FORKS.Process(
            target=work,
            args=(
                str(self.file),
                str(self.folder / "pipe"),
                host,
                self.lives,
                sorted(self.unsure[host]),
                HOSTS,
                self.blind,
            ),
            daemon=True,
        )
        process.start()
        return process

    def kill(self, host: str) -> None:
        self.processes[host].kill()
        self.processes[host].join()

    def listen_until(self, operations: int) -> None:
        """Take in what the workers say until so many requests have been answered."""
        while self.operations < operations:
            self._take_in(os.read(self._lines, 1 << 16))

    def listen(self) -> None:
        """Read what has been reported by now."""
        os.set_blocking(self._lines, False)
        try:
            while True:
                self._take_in(os.read(self._lines, 1 << 16))
        except BlockingIOError:
            return
        finally:
            os.set_blocking(self._lines, True)

    def _take_in(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._hear(line.decode().split())

    def _hear(self, line: list[str]) -> None:
        match line:
            case ["assign", handle]:
                self.unsure[_host(handle)].add(handle)
            case ["release", handle]:
                self.unsure[_host(handle)].add(handle)
                self.in_use = {address: owner for address, owner in self.in_use.items() if owner != handle}
            case ["got", handle, *addresses]:
                self.operations += 1
                self.unsure[_host(handle)].discard(handle)
                for address in map(ip_address, addresses):
                    if address in self.in_use:
                        self.twice.append(f"{address} of {self.in_use[address]} was given to {handle} too")
                    self.in_use[address] = handle
            case ["done", handle]:
                self.operations += 1
                self.unsure[_host(handle)].discard(handle)
            case ["none", _]:
                self.operations += 1

    def wrong_now(self) -> list[str]:
        """Return what is wrong in a picture of the file taken while the others go on."""
        self.listen()
        certain = dict(self.in_use)
        picture = self.folder / "picture.db"
        picture.unlink(missing_ok=True)
        with sqlite3.connect(self.file) as source, sqlite3.connect(picture) as copy:
            source.backup(copy)
        source.close()
        copy.close()
        self.listen()
        still = {address: handle for address, handle in certain.items() if self.in_use.get(address) == handle}
        return asyncio.run(self._wrong_in(picture, still, quiet=False)) + self.twice

    async def _wrong_in(self, file: Path, in_use: dict[Address, str], *, quiet: bool) -> list[str]:
        store = datastore.open(f"sqlite:///{file}")
        try:
            wrong = await violations(store, in_use, quiet=quiet)
            return wrong + await _wrong_endpoints(store, in_use.values() if quiet else ())
        finally:
            await store.close()

    def wrong_at_rest(self) -> list[str]:
        """Return what is wrong once all is over and the unsure handles are released, as a runtime's DEL does."""
        self.end()
        self.listen()
        asyncio.run(self._release_unsure())
        return asyncio.run(self._wrong_in(self.file, self.in_use, quiet=True)) + self.twice

    async def _release_unsure(self) -> None:
        store = datastore.open(f"sqlite:///{self.file}")
        allocator = Allocator(store)
        for handle in sorted(set[str]().union(*self.unsure.values())):
            await release_with_endpoint(store, allocator, handle)
        for host in HOSTS:
            await allocator.adopt(host)
        await store.close()

    def end(self) -> None:
        for host in HOSTS:
            self.kill(host)

    def close(self) -> None:
        self.end()
        os.close(self._lines)


def test_killed_again_and_again_no_address_has_two_owners_and_none_is_lost(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    random = Random(6)
    try:
        for killed in range(1, KILLS + 1):
            cluster.listen_until(killed * OPERATIONS // (KILLS + 1))
            host = random.choice(HOSTS)
            cluster.kill(host)
            assert cluster.wrong_now() == []
            cluster.processes[host] = cluster.start(host)
        cluster.listen_until(OPERATIONS)
        assert cluster.wrong_at_rest() == []
    finally:
        cluster.close()


def test_the_same_without_compare_and_swap_loses_addresses_or_gives_them_twice(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, blind=True)
    try:
        wrong: list[str] = []
        while not wrong and cluster.operations < PATIENCE_OPERATIONS:
            cluster.listen_until(cluster.operations + 100)
            wrong = cluster.wrong_now()
        assert wrong != []
    finally:
        cluster.close()


async def _wrong_endpoints(store: Store, in_use: Iterable[str]) -> list[str]:
    """Return what endpoints have that is not theirs, and which handles in use lack theirs."""
    held, endpoints = await owners(store), (await store.list(WorkloadEndpoint)).objects
    return [
        f"endpoint {one.name} has {address}, which is assigned to {held.get(address)}"
        for one in endpoints
        for address in one.addresses
        if held.get(address) != one.name
    ] + [f"{handle} has no endpoint" for handle in {*in_use} - {one.name for one in endpoints}]


def _host(handle: str) -> str:
    return handle.removeprefix("net.").partition("-")[0]
