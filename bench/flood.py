"""What an ADD costs while the agent's pages are flooded: a hundred clients, 20,000 learned routes. `[ROUNDS]`

The agent of `bench.cni`, whose sidecar is a socket of this process that sends the routes. A process of its own has a
hundred clients that each ask for one page after the other, as fast as they are answered. In each round ADD is measured
with it stopped, and with it running: the ratio is of the two. Where there are few processors it includes what the
clients themselves take from the shim and the agent.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median

from bench.cni import START_SECONDS, Plugin, agent, alone, pods
from bench.result import Row, duration, report, rounds_of
from bgp.protocol import LINE_LIMIT, Hello, Learned, ReplayEnd, StatusReply, cut, decode, encode
from bgp.speaker import LearnedPath
from kernel.links import Devices
from kernel.netlink import KernelError
from kernel.netns import new_network_namespace, unshare_network
from net.prefix import Prefix, pack

CALLS = 20
CLIENTS, ROUTES = 100, 20_000
PAGES = {
    "/status": ["/status"],
    "/routes": ["/routes"],
    "all pages": ["/routes", "/status", "/metrics", "/invariants", "/readyz", "/trace?to=10.65.0.1&from=10.65.0.2"],
}
WARM_UP_SECONDS = 1.0


async def serve_routes(path: str) -> None:
    """Be a sidecar whose peers have announced all the routes."""
    paths = (LearnedPath(pack("192.0.2.2"), "192.0.2.2"),)
    routes = {Prefix(((11 << 24) + (n << 6)).to_bytes(4), 26): paths for n in range(ROUTES)}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            hello = decode(await reader.readline())
            writer.write(encode(Hello("sidecar")))
            answer = encode(StatusReply({})) if hello == Hello("observer") else b""
            for portion in () if answer else cut(routes):
                writer.write(encode(Learned(portion)))
            writer.write(b"" if answer else encode(ReplayEnd(converged=True)))
            while await reader.readline():
                writer.write(answer)
        writer.close()

    await (await asyncio.start_unix_server(serve, path, limit=LINE_LIMIT)).serve_forever()


async def ask_for_ever(path: str, pages: Sequence[str]) -> None:
    """Be a hundred clients, each with one request at a time."""

    async def one(number: int) -> None:
        while True:
            number += 1
            try:
                reader, writer = await asyncio.open_unix_connection(path)
                writer.write(f"GET {pages[number % len(pages)]} HTTP/1.0\r\n\r\n".encode())
                while await reader.read(1 << 16):
                    pass
                writer.close()
            except OSError:
                await asyncio.sleep(0.01)

    await asyncio.gather(*map(one, range(CLIENTS)))


@contextmanager
def beside(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run another process of this module meanwhile."""
    process = subprocess.Popen([sys.executable, "-m", "bench.flood", *arguments])
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait()


def wait_for_routes() -> None:
    end = time.monotonic() + START_SECONDS
    with closing(Devices()) as devices:
        while sum(spec.protocol == 81 for _, spec in devices.routes()) < ROUTES:
            if time.monotonic() > end:
                raise SystemExit(f"the agent did not write {ROUTES} routes within {START_SECONDS:g} s")
            time.sleep(0.1)


def add(plugin: Plugin) -> float:
    """Return the median of some ADDs, in milliseconds; each pod is deleted again."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, pods(CALLS) as ready:
        given.write(json.dumps(plugin.network).encode())
        given.flush()
        found = median(alone(plugin, "ADD", ready, given.fileno(), out.fileno()))
        alone(plugin, "DEL", ready, given.fileno(), out.fileno())
    return found


def measure(rounds: int) -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory(prefix="felix-bench-") as name:
        folder = Path(name)
        (folder / "run" / "bgp").mkdir(parents=True)
        with beside("--routes", str(folder / "run" / "bgp" / "bgp.sock")), agent(folder) as ours:
            wait_for_routes()
            add(ours)
            for title, pages in PAGES.items():
                with beside("--clients", str(folder / "run" / "status.sock"), *pages) as clients:
                    quiet, flooded = [], []
                    for _ in range(rounds):
                        os.kill(clients.pid, signal.SIGSTOP)
                        time.sleep(WARM_UP_SECONDS)
                        quiet.append(add(ours))
                        os.kill(clients.pid, signal.SIGCONT)
                        time.sleep(WARM_UP_SECONDS)
                        flooded.append(add(ours))
                rows.append(
                    duration(f"CNI ADD, {CLIENTS} clients ask for {title}", flooded, quiet, "no client asks", "ms")
                )
    return rows


def main(arguments: Sequence[str]) -> int:
    match arguments:
        case ["--routes", path]:
            asyncio.run(serve_routes(path))
        case ["--clients", path, *pages]:
            asyncio.run(ask_for_ever(path, pages))
        case _:
            rounds = rounds_of(arguments)
            _make_host()
            report("flood", measure(rounds), rounds)
    return 0


def _make_host() -> None:
    """Enter a network namespace of one's own, with the other nodes' network on a device."""
    try:
        unshare_network()
        far = new_network_namespace()
    except KernelError as refused:
        raise SystemExit(f"{refused}; run this as root, or under `unshare -Urn`") from None
    with closing(Devices()) as devices:
        devices.set_up(1)
        eth0 = devices.create_veth("eth0", far, "far", b"\x02" * 6)
        devices.add_address(eth0.index, pack("192.0.2.10"), 24)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
