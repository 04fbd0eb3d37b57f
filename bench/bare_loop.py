"""The messages that `bench.fib` has our writer send, made beforehand and only sent: what the kernel takes for them.

`python -m bench.bare_loop SIZE COUNT`: a side of `bench.fib`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import closing

from bench.fib import Load, wait_for_start
from felix_py.routes.fib import Ownership
from kernel.links import Devices
from kernel.message import ACK
from kernel.netlink import NetlinkSocket
from kernel.route import Envelope, NextHop, RouteSpec, put_envelope, remove_envelope
from kernel.route_order import in_easy_order
from kernel.rtnetlink import BATCH
from net.prefix import Prefix

Route = tuple[Prefix, RouteSpec]


def routes(load: Load) -> list[Route]:
    """Return the load's routes as the writer hands them to the kernel. This process is on the node."""
    with closing(Devices()) as devices:
        eth0 = devices.link("eth0")
    assert eth0 is not None
    ours, table = Ownership(), load.table()
    hops = {path.next_hop for (path,) in table.values()}
    specs = {hop: RouteSpec(ours.learned, ours.metric, hops=(NextHop(eth0.index, hop),)) for hop in hops}
    return [(prefix, specs[table[prefix][0].next_hop]) for prefix in in_easy_order(table)]


def messages(portion: Sequence[Route], envelope_of: Callable[[RouteSpec, int, int], Envelope]) -> bytes:
    """Return the messages for these routes, numbered from 1, of which the last asks for an acknowledgement."""
    found = bytearray()
    last = 0
    for sequence, (prefix, spec) in enumerate(portion, 1):
        start, middle, rest = envelope_of(spec, len(prefix.packed), prefix.length)
        last = len(found)
        found += start + sequence.to_bytes(4, sys.byteorder) + middle + prefix.packed + rest
    found[last + 6] |= ACK
    return bytes(found)


def main(load: Load) -> None:
    wanted = routes(load)
    portions = [wanted[first : first + BATCH] for first in range(0, len(wanted), BATCH)]
    with closing(NetlinkSocket()) as netlink:
        for envelope_of in (put_envelope, remove_envelope):
            batches = [(messages(portion, envelope_of), len(portion)) for portion in portions]
            wait_for_start()
            for batch, last in batches:
                if refused := netlink.batch(batch, last):
                    raise SystemExit(f"bench bare_loop: the kernel refused {len(refused)} routes of a batch")
            print("done", flush=True)
        wait_for_start()  # the processor time is read while this process lives


if __name__ == "__main__":
    main(Load(*map(int, sys.argv[1:])))
