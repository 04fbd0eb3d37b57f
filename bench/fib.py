"""Routes into the kernel: our RIB, FIB and writer beside BIRD's, and a bare loop. `python -m bench.fib [ROUNDS]`

    fresh network namespace: eth0 192.0.2.1/24 2001:db8::1/64, all routes through 32 gateways on it

The clock runs from the start command until a third party, a netlink socket of this process, has counted the last route
in or out. BIRD: `enable` (later `disable`) of the static protocol that has the routes, from there through its table to
a kernel protocol that is up. Ours: a line on standard input, then what the sidecar's client hands over, line by line,
goes through next hop resolution, RIB, plan and batches, as in the agent, which also listens to the kernel's events.
Configuration and start are not measured. The bare loop (`bench.bare_loop`) only sends the messages that we send. They
take turns within each round, and the order alternates by round.

The processor time of each process, the kernel's work for it included, is reported beside the rate: it is the steadier
figure on a busy machine.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path as File
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench.bird_control import connect, executable
from bench.patience import PATIENCE_SECONDS
from bench.processor_time import processor_seconds
from bench.result import duration, rate, report, rounds_of
from bgp.protocol import Learned, Withdrawn, cut
from bgp.speaker import LearnedPath, LearnedPaths
from felix_py import gc_tuning, thread_turns
from felix_py.host.host import Host
from felix_py.routes.fib import Ownership
from felix_py.routes.routing import Routing
from felix_py.snapshot import Snapshot
from kernel.events import RouteChanged
from kernel.links import Devices
from kernel.netlink import KernelError, NetlinkSocket
from kernel.netns import inside, new_network_namespace
from kernel.route import BLACKHOLE, RouteSpec
from kernel.rtnetlink import Rtnetlink
from net.prefix import Prefix, pack

PEER, BARE = "BIRD 2", "bare loop"
GATEWAYS = 32
ROUTE_GROUPS = {4: 1 << 6, 16: 1 << 10}


@dataclass(frozen=True)
class Load:
    size: int  # bytes of an address: 4 or 16
    count: int

    @property
    def title(self) -> str:
        return f"{self.count:,} IPv{'4' if self.size == 4 else '6'} routes"

    def table(self) -> dict[Prefix, LearnedPaths]:
        """Return blocks, each with its next hop: /26 or /122, as nodes would announce them."""
        addresses = [f"192.0.2.{2 + n}" if self.size == 4 else f"2001:db8::{2 + n:x}" for n in range(GATEWAYS)]
        gateways = [(LearnedPath(pack(address), address),) for address in addresses]
        first = int.from_bytes(pack("10.0.0.0" if self.size == 4 else "fd00::"))
        length = 8 * self.size - 6
        return {
            Prefix((first + (n << 6)).to_bytes(self.size), length): gateways[n % GATEWAYS] for n in range(self.count)
        }


LOADS = (Load(4, 10_000), Load(4, 100_000), Load(16, 10_000), Load(16, 100_000))


class Spent(NamedTuple):
    """What it took until the last of all routes was there, or gone: on the clock, and of the processor."""

    seconds: float
    processor_seconds: float


class Turn(NamedTuple):
    put: Spent
    remove: Spent


@contextmanager
def namespace() -> Iterator[int]:
    """Make an unnamed network namespace with an eth0; it ends with its descriptor and the processes inside."""
    try:
        descriptor = new_network_namespace()
    except KernelError as refused:
        raise SystemExit(f"{refused}; run this as root, or under `unshare -Urn`") from None
    try:
        with inside(descriptor), closing(Devices()) as devices:
            devices.set_up(1)
            eth0 = devices.create_veth("eth0", descriptor, "far", b"\x02" * 6)
            devices.set_up(eth0.peer)
            devices.add_address(eth0.index, pack("192.0.2.1"), 24)
            devices.add_address(eth0.index, pack("2001:db8::1"), 64)
        yield descriptor
    finally:
        os.close(descriptor)


class Listener:
    """Counts the changes of routes from outside of both rivals, at next to no cost to them.

    The netlink socket is never read: once its buffer is full, the kernel counts every further event as dropped,
    and the count is in /proc/net/netlink. A thousand looks a second cost less than reading the events.
    """

    def __init__(self, netns: int, size: int) -> None:
        with inside(netns):
            self._netlink = NetlinkSocket(groups=ROUTE_GROUPS[size], receive_buffer=1)
            self._table = open("/proc/thread-self/net/netlink", "rb", buffering=0)  # noqa: SIM115 - closed by close
            with closing(Devices()) as devices:
                filler = Prefix.host(bytes(size)[:-1] + b"\x09"), RouteSpec(3, 1030, BLACKHOLE)
                while not self._dropped():
                    devices.put_route(*filler)
                    devices.put_route(filler[0], RouteSpec(3, 1030, BLACKHOLE, mtu=1400))
        self._seen = self._dropped()

    def close(self) -> None:
        self._table.close()
        self._netlink.close()

    def _dropped(self) -> int:
        self._table.seek(0)
        for line in self._table.read(1 << 20).splitlines():
            fields = line.split()
            if fields[2] == str(self._netlink.port).encode() and fields[1] == b"0":
                return int(fields[8])
        raise LookupError("the kernel does not list the listener's own socket")

    def seconds_until(self, started: float, count: int) -> float:
        """Return the seconds from `started` until `count` more routes have changed."""
        wanted = self._seen + count
        while (seen := self._dropped()) < wanted:
            time.sleep(0.001)
            if time.perf_counter() - started > PATIENCE_SECONDS:
                raise SystemExit(f"{wanted - seen} of {count} routes did not change within {PATIENCE_SECONDS} s")
        self._seen = seen
        return time.perf_counter() - started


def ours(load: Load) -> Turn:
    return of_a_process(load, "bench.fib", "--ours")


def bare(load: Load) -> Turn:
    return of_a_process(load, "bench.bare_loop")


def of_a_process(load: Load, *side: str) -> Turn:
    """Run one side, a module and its words, in a process of its own."""
    with namespace() as netns:
        listener = Listener(netns, load.size)
        command = [sys.executable, "-m", *side, str(load.size), str(load.count)]
        child = _within(netns, command)
        assert child.stdin is not None and child.stdout is not None
        try:
            spent = []
            for _ in ("put", "remove"):
                if child.stdout.readline() != b"ready\n":
                    raise SystemExit(f"{side[0]} ended early; its message is above")
                before, started = processor_seconds(child.pid), time.perf_counter()
                child.stdin.write(b"go\n")
                child.stdin.flush()
                seconds = listener.seconds_until(started, load.count)
                child.stdout.readline()
                spent.append(Spent(seconds, processor_seconds(child.pid) - before))
            child.stdin.close()
            if child.wait(PATIENCE_SECONDS) != 0:
                raise SystemExit(f"{side[0]} failed; its message is above")
            return Turn(*spent)
        finally:
            child.kill()
            child.wait()
            listener.close()


async def our_side(load: Load) -> None:
    """Be the agent as far as routes go: it hears of them in the client's portions, and its own events come back."""
    gc_tuning.apply()
    thread_turns.apply()
    host, due = Host([], "cali"), asyncio.Event()
    with closing(Rtnetlink()) as kernel:
        host.load(kernel.links().values(), kernel.addresses())
        routing = Routing(Ownership(), kernel, Snapshot("bench"), host, due.set)
        routing.all_learned()
        wanted = load.table()

        async def follow() -> None:
            async for batch in kernel.events():
                for event in batch:
                    if isinstance(event, RouteChanged):
                        if event.own:
                            routing.writer.own_change(event)
                        else:
                            routing.writer.foreign_change(event, repair=True)

        async def write_when_due() -> None:
            while True:
                await due.wait()
                due.clear()
                await routing.hear_out()
                await routing.write()

        async def hear(events: Iterable[Learned | Withdrawn]) -> None:
            """Take these in as the agent does, at the start command, and return when all is written."""
            await asyncio.to_thread(wait_for_start)
            for event in events:
                match event:
                    case Learned(routes):
                        routing.learn(routes)
                    case Withdrawn(prefixes):
                        routing.withdraw(prefixes)
                await asyncio.sleep(0)
            await routing.write()
            print("done", flush=True)

        tasks = [asyncio.create_task(follow()), asyncio.create_task(write_when_due())]
        await hear(list(map(Learned, cut(wanted))))
        await hear([Withdrawn(tuple(portion)) for portion in cut(wanted)])

        # A thread's time is counted while it lives, so the threads stay until that has been read.
        await asyncio.to_thread(wait_for_start)
        for task in tasks:
            task.cancel()
        writer = routing.writer
        if writer.refused or writer.fib.held or writer.puts != load.count or writer.removes != load.count:
            raise SystemExit("our side did not write all of its routes")


def wait_for_start() -> None:
    """Say that this side is ready, and wait until the clock starts."""
    print("ready", flush=True)
    sys.stdin.readline()


def bird(load: Load) -> Turn:
    with namespace() as netns, TemporaryDirectory(prefix="felix-bench-") as folder:
        listener = Listener(netns, load.size)
        (File(folder) / "bird.conf").write_text(_bird_configuration(load))
        control_path, pid_path = f"{folder}/bird.ctl", File(folder) / "bird.pid"
        child = _within(
            netns, [executable(), "-f", "-c", f"{folder}/bird.conf", "-s", control_path, "-P", str(pid_path)]
        )
        try:
            control = connect(control_path, child)
            spent = []
            for command in ("enable static1", "disable static1"):
                before, started = processor_seconds(child.pid), time.perf_counter()
                control.sendall(f"{command}\n".encode())
                seconds = listener.seconds_until(started, load.count)
                control.recv(4096)
                spent.append(Spent(seconds, processor_seconds(child.pid) - before))
            return Turn(*spent)
        finally:
            child.terminate()
            child.wait()
            listener.close()


def _bird_configuration(load: Load) -> str:
    family = "ipv4" if load.size == 4 else "ipv6"
    routes = "".join(f"  route {prefix} via {_text(path.next_hop)};\n" for prefix, (path,) in load.table().items())
    return f"""router id 192.0.2.1;
protocol device {{ }}
protocol kernel kernel1 {{ metric 1030; {family} {{ import none; export all; }}; }}
protocol static static1 {{ disabled; {family};
{routes}}}
"""


def _text(address: bytes) -> str:
    return Prefix.host(address).address


def _within(netns: int, command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["nsenter", f"--net=/proc/self/fd/{netns}", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=(netns,),
    )


def main(arguments: Sequence[str]) -> None:
    match arguments:
        case ["--ours", size, count]:
            asyncio.run(our_side(Load(int(size), int(count))))
        case _:
            compare(rounds_of(arguments))


def compare(rounds: int) -> None:
    rows = []
    for load in LOADS:
        found: dict[str, list[Turn]] = {"ours": [], "bird": [], "bare": []}
        for number in range(rounds):
            turns = [("ours", ours), ("bird", bird), ("bare", bare)]
            for name, run in turns if number % 2 == 0 else reversed(turns):
                found[name].append(run(load))
            print(f"{load.title}: round {number + 1} of {rounds} done", file=sys.stderr)
        for verb, field in (("put", 0), ("remove", 1)):
            mine, theirs = ([turn[field] for turn in found[name]] for name in ("ours", "bird"))
            a, b = ([load.count / spent.seconds for spent in side] for side in (mine, theirs))
            rows.append(rate(f"{verb} {load.title}", a, b, PEER, "routes/s"))
            a, b = ([1e6 * spent.processor_seconds / load.count for spent in side] for side in (mine, theirs))
            rows.append(duration(f"{verb} {load.title}, processor", a, b, PEER, "µs/route"))
            a, b = ([load.count / turn[field].seconds for turn in found[name]] for name in ("ours", "bare"))
            rows.append(rate(f"{verb} {load.title}, beside the same messages sent bare", a, b, BARE, "routes/s"))
    report("fib", rows, rounds)


if __name__ == "__main__":
    main(sys.argv[1:])
