"""An Rtnetlink in a real network namespace, with `ip` as the witness.

node: lo, eth0 192.0.2.1/24 2001:db8::1/64 ─── far (no addresses)
"""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing

import pytest

from kernel.batch_writer import BatchWriter
from kernel.events import AddressChanged, EventsLost, KernelEvent, LinkChanged, RouteChanged
from kernel.links import Devices
from kernel.netns import inside
from kernel.route import BLACKHOLE, NextHop, RouteSpec, ip_route_text
from kernel.rtnetlink import AHEAD, BATCH, Rtnetlink
from net.prefix import Prefix, pack
from tests.kernel.netns import Namespace

BLOCK, POD = Prefix.parse("10.65.1.0/26"), Prefix.parse("10.65.1.7")
BLOCK6, POD6 = Prefix.parse("fd00:65::/122"), Prefix.parse("fd00:65::7")
DROP = RouteSpec(80, 1030, BLACKHOLE)


async def receive(events: AsyncIterator[list[KernelEvent]], wanted: Callable[[KernelEvent], bool]) -> list[KernelEvent]:
    """Return what is received up to and with the batch that holds a wanted event."""
    received: list[KernelEvent] = []
    async with asyncio.timeout(20):
        async for batch in events:
            received += batch
            if any(map(wanted, batch)):
                break
    return received


def routes_changed(received: list[KernelEvent], prefix: Prefix) -> list[RouteChanged]:
    return [event for event in received if isinstance(event, RouteChanged) and event.prefix == prefix]


@pytest.fixture
def eth0(kernel: Rtnetlink) -> int:
    [index] = [index for index, link in kernel.links().items() if link.name == "eth0"]
    return index


def table(eth0: int) -> dict[Prefix, RouteSpec]:
    """One route of every shape that this project writes."""
    via, via6, local = pack("192.0.2.2"), pack("2001:db8::2"), pack("fe80::2")
    return {
        POD: RouteSpec(80, 1030, hops=(NextHop(eth0),), scope=253),
        POD6: RouteSpec(80, 1030, hops=(NextHop(eth0),)),
        BLOCK: DROP,
        BLOCK6: DROP,
        Prefix.parse("10.65.2.0/26"): RouteSpec(81, 1030, hops=(NextHop(eth0, via),)),
        Prefix.parse("10.65.3.0/26"): RouteSpec(
            81, 1030, hops=(NextHop(eth0, pack("203.0.113.9"), onlink=True),), mtu=1440
        ),
        Prefix.parse("10.65.4.0/26"): RouteSpec(
            81, 1030, hops=(NextHop(eth0, via), NextHop(eth0, pack("192.0.2.3"), weight=3))
        ),
        Prefix.parse("10.65.5.0/26"): RouteSpec(81, 1030, hops=(NextHop(eth0, local),)),
        Prefix.parse("10.65.6.0/26"): RouteSpec(81, 1030, hops=(NextHop(eth0, via),), source=pack("192.0.2.1")),
        Prefix.parse("fd00:66::/122"): RouteSpec(81, 1030, hops=(NextHop(eth0, via6),), mtu=1400),
        Prefix.parse("fd00:67::/122"): RouteSpec(81, 1030, hops=(NextHop(eth0, local),)),
        Prefix.parse("fd00:68::/122"): RouteSpec(
            81, 1030, hops=(NextHop(eth0, local), NextHop(eth0, via6, onlink=True, weight=2))
        ),
        Prefix.parse("0.0.0.0/0"): RouteSpec(81, 1030, hops=(NextHop(eth0, via),)),
        Prefix.parse("::/0"): RouteSpec(81, 1030, hops=(NextHop(eth0, via6),)),
    }


async def test_what_is_read_back_equals_what_was_put(kernel: Rtnetlink, eth0: int) -> None:
    wanted = table(eth0)
    assert await kernel.apply(wanted.items()) == []
    assert dict(await kernel.dump([80, 81])) == wanted
    assert dict(await kernel.dump([80])) == {prefix: spec for prefix, spec in wanted.items() if spec.protocol == 80}
    assert wanted.items() <= set(await kernel.dump())


async def test_the_route_that_a_prefixs_first_address_matches_equals_what_was_put(
    kernel: Rtnetlink, node: Namespace, eth0: int
) -> None:
    wanted = {prefix: spec for prefix, spec in table(eth0).items() if prefix.length}
    await kernel.apply(wanted.items())
    shown = {prefix: (prefix, spec) for prefix, spec in wanted.items()} | {BLOCK: None, BLOCK6: None}
    found = {prefix: kernel.match(prefix) for prefix in wanted}
    [several] = [prefix for prefix, spec in wanted.items() if prefix.bits == 128 and len(spec.hops) > 1]
    match = found.pop(several)
    assert match is not None and sorted(match[1].hops) == sorted(wanted[several].hops), "from any hop on"
    assert found == {prefix: route for prefix, route in shown.items() if prefix != several}
    inside, none = Prefix.parse("10.65.2.8/32"), Prefix.parse("203.0.113.0/24")
    assert kernel.match(inside) == (Prefix.parse("10.65.2.0/26"), wanted[Prefix.parse("10.65.2.0/26")])
    assert kernel.match(none) is None
    node.ip("route add 10.65.2.0/26 via 192.0.2.3 proto static metric 20")
    other = kernel.match(Prefix.parse("10.65.2.0/26"))
    assert other is not None and (other[0].length, other[1].metric) == (26, 20)


async def test_of_our_own_writes_only_replacements_are_told(kernel: Rtnetlink, node: Namespace, eth0: int) -> None:
    many = [(Prefix.host(bytes((10, 9, n >> 8, n & 255))), DROP) for n in range(700)]
    through = RouteSpec(81, 1030, hops=(NextHop(eth0, pack("192.0.2.2")),))
    await kernel.apply([(BLOCK, DROP), (POD, DROP)])  # written at once
    await kernel.apply(many)  # written by the thread
    await kernel.apply([(BLOCK, through)], [*many, (POD, DROP)])
    await kernel.apply([*many, (BLOCK, DROP)])
    node.ip(f"route add blackhole {POD} proto 81 metric 1030")
    received = await receive(kernel.events(), lambda event: isinstance(event, RouteChanged) and event.prefix == POD)
    marked = (event for event in received if isinstance(event, RouteChanged) and event.spec.protocol in (80, 81))
    assert list(marked) == [
        RouteChanged(BLOCK, through, replaced=True, own=True),
        RouteChanged(BLOCK, DROP, replaced=True, own=True),
        RouteChanged(POD, DROP._replace(protocol=81)),
    ]


async def test_ip_takes_the_words_of_every_route_and_makes_the_same_of_them(
    kernel: Rtnetlink, node: Namespace, eth0: int
) -> None:
    wanted = table(eth0)
    names = {index: link.name for index, link in kernel.links().items()}
    for prefix, spec in wanted.items():
        family = "-6 " if prefix.bits == 128 else ""
        node.ip(f"{family}route add {ip_route_text(prefix, spec, names)}")
    assert dict(await kernel.dump([80, 81])) == wanted


async def test_ip_sees_what_was_put(kernel: Rtnetlink, node: Namespace, eth0: int) -> None:
    await kernel.apply(table(eth0).items())
    seen = [" ".join(line.split()) for line in node.ip("route show").splitlines()]
    assert "10.65.1.7 dev eth0 proto 80 scope link metric 1030" in seen
    assert "blackhole 10.65.1.0/26 proto 80 metric 1030" in seen
    assert "10.65.2.0/26 via 192.0.2.2 dev eth0 proto 81 metric 1030" in seen
    assert "fd00:65::7 dev eth0 proto 80 metric 1030 pref medium" in node.ip("-6 route show")


async def test_a_change_of_source_is_one_replace_in_place(kernel: Rtnetlink, eth0: int) -> None:
    await kernel.apply([(BLOCK, DROP), (BLOCK6, DROP)])
    through = RouteSpec(81, 1030, hops=(NextHop(eth0, pack("192.0.2.2")),))
    through6 = RouteSpec(81, 1030, hops=(NextHop(eth0, pack("fe80::2")), NextHop(eth0, pack("fe80::3"))))
    for spec, spec6 in ((through, through6), (DROP, DROP), (through, through6)):
        assert await kernel.apply([(BLOCK, spec), (BLOCK6, spec6)]) == []
        assert dict(await kernel.dump([80, 81])) == {BLOCK: spec, BLOCK6: spec6}


async def test_a_refused_route_is_named_with_the_kernels_words_and_stops_no_other(kernel: Rtnetlink, eth0: int) -> None:
    unreachable = RouteSpec(81, 1030, hops=(NextHop(eth0, pack("203.0.113.9")),))
    nowhere = RouteSpec(81, 1030, hops=(NextHop(9999),))
    others = [(Prefix.host(bytes((10, 9, n >> 8, n & 255))), DROP) for n in range(700)]
    refused = await kernel.apply([(BLOCK, unreachable), *others, (POD, nowhere), (BLOCK6, nowhere)])
    assert [(bad.prefix, bad.errno) for bad in refused] == [
        (BLOCK, errno.ENETUNREACH),
        (POD, errno.ENODEV),
        (BLOCK6, errno.ENODEV),
    ]
    assert refused[0].text == "Nexthop has invalid gateway (ENETUNREACH)"
    assert dict(await kernel.dump([80, 81])) == dict(others)


async def test_a_remove_takes_only_ours_and_is_content_when_it_is_gone(kernel: Rtnetlink, node: Namespace) -> None:
    node.ip(f"route add blackhole {BLOCK} proto static metric 1030")
    node.ip(f"-6 route add blackhole {BLOCK6} proto 80 metric 512")
    assert await kernel.apply([], [(BLOCK, DROP), (BLOCK6, DROP), (POD, DROP)]) == []
    assert "proto static" in node.ip(f"route show {BLOCK}")
    assert "metric 512" in node.ip(f"-6 route show {BLOCK6}")


async def test_a_foreign_route_with_another_metric_lies_beside_ours(kernel: Rtnetlink, node: Namespace) -> None:
    node.ip(f"route add blackhole {BLOCK} proto static")
    node.ip(f"-6 route add blackhole {BLOCK6} proto static")  # metric 1024, as ours would be without one of our own
    await kernel.apply([(BLOCK, DROP), (BLOCK6, DROP)])
    assert len(node.ip(f"route show {BLOCK}").splitlines()) == 2
    assert len(node.ip(f"-6 route show {BLOCK6}").splitlines()) == 2
    await kernel.apply([], [(BLOCK, DROP), (BLOCK6, DROP)])
    assert "proto static" in node.ip(f"route show {BLOCK}")
    assert "proto static" in node.ip(f"-6 route show {BLOCK6}")


async def test_other_tables_are_not_read(kernel: Rtnetlink, node: Namespace) -> None:
    node.ip(f"route add blackhole {BLOCK} proto 80 metric 1030 table 77")
    assert await kernel.dump([80]) == []


async def test_many_routes_are_read_a_buffer_at_a_time_with_turns_for_others(kernel: Rtnetlink) -> None:
    wanted = {Prefix.host(bytes((10, 9, n >> 8, n & 255))): DROP for n in range(3000)}
    await kernel.apply(wanted.items())
    sizes, read_at_turns = list[int](), list[int]()

    async def take_turns() -> None:
        while True:
            read_at_turns.append(len(sizes))
            await asyncio.sleep(0)

    others = asyncio.create_task(take_turns())
    await kernel.read(lambda routes: sizes.append(len(routes)), [80])
    others.cancel()
    assert sum(sizes) == len(wanted) and max(sizes) < 1000
    assert set(range(1, len(sizes))) <= set(read_at_turns), "after each"


async def test_a_dump_left_in_the_middle_does_not_spoil_the_next(kernel: Rtnetlink) -> None:
    wanted = {Prefix.host(bytes((10, 9, n >> 8, n & 255))): DROP for n in range(3000)}
    await kernel.apply(wanted.items())
    reading = asyncio.create_task(kernel.dump())
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert dict(await kernel.dump([80])) == wanted


async def test_nothing_is_written_any_more_after_a_write_was_given_up(kernel: Rtnetlink) -> None:
    many = [(Prefix.host(bytes((10, n >> 16, n >> 8 & 255, n & 255))), DROP) for n in range(60000)]
    writing = asyncio.create_task(kernel.apply(many))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    begun = len(await kernel.dump([80]))
    assert begun < len(many)
    assert await kernel.apply([], many) == []
    assert await kernel.dump([80]) == []


async def test_of_many_routes_the_next_are_taken_while_some_are_written_but_not_all(
    kernel: Rtnetlink, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, work = threading.Event(), BatchWriter._work
    most, taken = (AHEAD + 1) * BATCH, 0

    def held_back(self: BatchWriter) -> None:
        assert go.wait(20)
        work(self)

    def routes() -> Iterator[tuple[Prefix, RouteSpec]]:
        nonlocal taken
        for number in range(2 * most):
            taken += 1
            yield Prefix.host(bytes((10, 9, number >> 8, number & 255))), DROP

    monkeypatch.setattr(BatchWriter, "_work", held_back)
    writing = asyncio.create_task(kernel.apply(routes()))
    for _ in range(100):
        await asyncio.sleep(0)
    assert taken == most
    assert await kernel.dump([80]) == []
    go.set()
    assert await writing == []
    assert len(await kernel.dump([80])) == taken == 2 * most


async def test_a_namespace_without_any_route_has_an_empty_dump(pod: Namespace) -> None:
    with inside(pod.descriptor):
        kernel = Rtnetlink()
    with closing(kernel):
        assert await kernel.dump() == []


def test_a_next_hop_resolves_to_the_device_and_gateway_that_lead_there(
    kernel: Rtnetlink, node: Namespace, eth0: int
) -> None:
    near, far = pack("192.0.2.2"), pack("198.51.100.1")
    assert kernel.resolve(near) == NextHop(eth0, near)
    assert kernel.resolve(pack("2001:db8::2")) == NextHop(eth0, pack("2001:db8::2"))
    assert kernel.resolve(far) is None
    node.ip("route add default via 192.0.2.254")
    assert kernel.resolve(far) == NextHop(eth0, pack("192.0.2.254"))
    node.ip("route add blackhole 198.51.100.0/24")
    assert kernel.resolve(far) is None


def test_an_own_address_and_a_way_through_learned_routes_resolve_to_nothing(
    kernel: Rtnetlink, node: Namespace, eth0: int
) -> None:
    assert kernel.resolve(pack("192.0.2.1")) is None
    assert kernel.resolve(pack("2001:db8::1")) is None
    node.ip("route add 198.51.100.0/24 via 192.0.2.2 proto 81 metric 1030")
    assert kernel.resolve(pack("198.51.100.1")) == NextHop(eth0, pack("192.0.2.2"))
    assert kernel.resolve(pack("198.51.100.1"), avoid=(81,)) is None


def test_links_and_addresses_are_as_ip_made_them(kernel: Rtnetlink, eth0: int) -> None:
    link = kernel.links()[eth0]
    assert (link.name, link.up, link.carrier, link.mtu, link.kind, link.group) == ("eth0", True, True, 1500, "veth", 0)
    assert len(link.mac) == 6 and kernel.links()[link.peer].name == "far"
    found = {
        (address.address, address.length, address.scope) for address in kernel.addresses() if address.index == eth0
    }
    assert {(pack("192.0.2.1"), 24, 0), (pack("2001:db8::1"), 64, 0)} <= found


async def test_a_route_deleted_or_replaced_by_hand_is_reported_as_a_foreign_change(
    kernel: Rtnetlink, node: Namespace, eth0: int
) -> None:
    events = kernel.events()
    await kernel.apply([(BLOCK, DROP), (BLOCK6, DROP), (POD, DROP)])
    node.ip(f"route del {POD} metric 1030")
    node.ip(f"route replace {BLOCK} dev eth0 proto static metric 1030")
    node.ip(f"-6 route replace {BLOCK6} dev eth0 proto static metric 1030")
    received = await receive(
        events, lambda event: isinstance(event, RouteChanged) and event.prefix == BLOCK6 and not event.own
    )
    foreign = RouteSpec(4, 1030, hops=(NextHop(eth0),))
    assert routes_changed(received, POD)[-1] == RouteChanged(POD, DROP, gone=True)
    assert routes_changed(received, BLOCK)[-1] == RouteChanged(BLOCK, foreign._replace(scope=253), replaced=True)
    assert routes_changed(received, BLOCK6)[-1] == RouteChanged(BLOCK6, foreign, replaced=True)


async def test_a_link_that_goes_down_takes_its_ipv4_routes_silently(
    kernel: Rtnetlink, node: Namespace, eth0: int
) -> None:
    events = kernel.events()
    await kernel.apply(
        [
            (POD, RouteSpec(80, 1030, hops=(NextHop(eth0),), scope=253)),
            (POD6, RouteSpec(80, 1030, hops=(NextHop(eth0),))),
        ]
    )
    node.ip("link set eth0 down")
    node.ip("route add blackhole 203.0.113.0/24")  # behind this, everything about the link has been received
    mark = Prefix.parse("203.0.113.0/24")
    received = await receive(events, lambda event: isinstance(event, RouteChanged) and event.prefix == mark)
    assert any(isinstance(event, LinkChanged) and event.link.index == eth0 and not event.link.up for event in received)
    assert not [event for event in routes_changed(received, POD) if event.gone]
    assert [event for event in routes_changed(received, POD6) if event.gone]
    assert await kernel.dump([80]) == []


async def test_a_deleted_link_and_its_addresses_are_reported(kernel: Rtnetlink, node: Namespace, eth0: int) -> None:
    events = kernel.events()
    node.ip("addr add 192.0.2.9/24 dev eth0")
    node.ip("link del eth0")
    received = await receive(
        events, lambda event: isinstance(event, LinkChanged) and event.gone and event.link.index == eth0
    )
    added = [event.address.address for event in received if isinstance(event, AddressChanged) and not event.gone]
    assert pack("192.0.2.9") in added


async def test_a_port_leaving_a_bridge_is_not_a_link_that_is_gone(kernel: Rtnetlink, node: Namespace) -> None:
    events = kernel.events()
    node.batch("link add br0 type bridge\nlink set far master br0\nlink set far nomaster\nlink del br0\n")
    received = await receive(
        events, lambda event: isinstance(event, LinkChanged) and event.gone and event.link.name == "br0"
    )
    gone = [event.link.name for event in received if isinstance(event, LinkChanged) and event.gone]
    assert gone == ["br0"]


@pytest.mark.parametrize("base", ["10.9.", "fd09::"])
async def test_events_that_overflow_say_so_and_the_socket_works_on(node: Namespace, base: str) -> None:
    with inside(node.descriptor):
        kernel = Rtnetlink(receive_buffer=8192)
    with closing(kernel):
        separator = "." if base == "10.9." else ":"
        node.batch("".join(f"route add blackhole {base}{n // 250}{separator}{n % 250}\n" for n in range(2000)))
        events = kernel.events()
        received = await receive(events, lambda event: isinstance(event, EventsLost))
        assert sum(isinstance(event, EventsLost) for event in received) == 1
        assert len(await kernel.dump([3])) == 2000  # what EventsLost asks for: read again
        node.ip(f"route add blackhole {BLOCK}")
        received = await receive(events, lambda event: isinstance(event, RouteChanged) and event.prefix == BLOCK)
        assert not any(isinstance(event, EventsLost) for event in received)


async def test_nothing_is_lost_between_subscription_and_dump(kernel: Rtnetlink, node: Namespace) -> None:
    """A route that comes after the Rtnetlink exists is in the dump, in the events, or in both."""
    node.ip(f"route add blackhole {BLOCK} proto 80 metric 1030")
    assert dict(await kernel.dump([80])) == {BLOCK: DROP}
    node.ip(f"route del {BLOCK} metric 1030")
    received = await receive(kernel.events(), lambda event: isinstance(event, RouteChanged) and event.gone)
    assert [event.gone for event in routes_changed(received, BLOCK)] == [False, True]


async def test_events_are_read_when_others_have_had_their_way(kernel: Rtnetlink, node: Namespace) -> None:
    begun, over = asyncio.Event(), asyncio.Event()

    async def others() -> None:
        begun.set()
        await over.wait()

    kernel.give_way_to(others)
    reading = asyncio.ensure_future(anext(kernel.events()))
    node.ip(f"route add blackhole {BLOCK}")
    await begun.wait()
    node.ip(f"route add blackhole {BLOCK6}")
    assert not reading.done()
    over.set()
    read = [event.prefix for event in await reading if isinstance(event, RouteChanged)]
    assert [prefix for prefix in read if prefix in (BLOCK, BLOCK6)] == [BLOCK, BLOCK6]


async def test_the_loop_turns_between_batches(kernel: Rtnetlink) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await kernel.apply([(Prefix.host(bytes((10, 9, n >> 8, n & 255))), DROP) for n in range(3000)])
    counting.cancel()
    assert turns >= 9


def test_devices_and_kernel_live_in_the_namespace_they_were_made_in(devices: Devices, kernel: Rtnetlink) -> None:
    assert devices.links() == kernel.links()


async def test_all_are_refused_one_by_one_where_the_socket_has_room_for_few_answers(
    node: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a user namespace with Debian's limit (net.core.rmem_max): 512 failures that nobody has read yet."""

    def grow(netlink: socket.socket, force: int, plain: int, size: int) -> None:
        netlink.setsockopt(socket.SOL_SOCKET, plain, 212_992)

    monkeypatch.setattr("kernel.netlink._grow", grow)
    with inside(node.descriptor):
        made = Rtnetlink()
    nowhere = RouteSpec(80, 1030, hops=(NextHop(0, pack("198.51.100.1")),))
    routes = [(Prefix((n << 6).to_bytes(4), 26), nowhere) for n in range(AHEAD * BATCH + BATCH + 1)]
    with closing(made):
        refused = await made.apply(routes)
        assert [one.prefix for one in refused] == [prefix for prefix, _ in routes]
        assert await made.apply([], routes) == []
