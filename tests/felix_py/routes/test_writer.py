"""The writer over a fake kernel: what it does when a route is refused, lost, overwritten, or a batch is cancelled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from datastore.backoff import Backoff
from felix_py.routes.fib import PORTION, Fib
from felix_py.routes.rib import Rib, Source
from felix_py.routes.writer import LOGGED_ONE_BY_ONE, FibWriter
from kernel.events import RouteChanged
from kernel.netlink import KernelError
from kernel.route import NextHop, RouteSpec
from net.prefix import Prefix
from tests.felix_py.fake_node import BLOCK, DEVICE, HOLE, LEARNED, POD, REMOTE
from tests.felix_py.fakes import ETH0, FakeKernel, until

FOREIGN = RouteSpec(3, hops=DEVICE.hops, metric=1030)


class Writing:
    """A writer with its RIB and kernel; `write` is called at once whenever it asks for it."""

    def __init__(
        self, routes: Iterable[tuple[Prefix, RouteSpec]] = (), *, removable: tuple[int, ...] = (80, 81)
    ) -> None:
        self.kernel, self.rib, self.woken = FakeKernel(routes), Rib(), asyncio.Event()
        self.writer = FibWriter(
            self.kernel, self.rib, Fib(), self.woken.set, {7: "cali0", 2: "eth0"}, Backoff(0.001, 0.004)
        )
        for protocol in removable:
            self.writer.allow_removal(protocol)

    async def write_when_woken(self) -> None:
        await asyncio.wait_for(self.woken.wait(), 10)
        self.woken.clear()
        await self.writer.write()


async def test_what_is_wanted_is_put_and_what_is_not_any_more_removed() -> None:
    one = Writing()
    one.rib.put(Source.PODS, POD, DEVICE)
    await one.writer.write()
    assert one.kernel.held(POD) == DEVICE
    one.rib.remove(Source.PODS, POD)
    await one.writer.write()
    assert one.kernel.held(POD) is None
    assert (one.writer.puts, one.writer.removes) == (1, 1)


async def test_new_routes_are_put_before_old_ones_are_removed() -> None:
    one = Writing([(BLOCK, HOLE)])
    await one.writer.read_all()
    one.rib.put(Source.LEARNED, REMOTE, LEARNED)
    await one.writer.write()
    assert one.kernel.deeds == [f"put {REMOTE}", f"remove {BLOCK}"]


async def test_with_nothing_due_the_kernel_is_left_alone() -> None:
    one = Writing()
    await one.writer.write()
    one.rib.put(Source.PODS, POD, DEVICE)
    await one.writer.write()
    await one.writer.write()
    assert len(one.kernel.batches) == 1


async def test_nothing_is_due_after_a_reading_while_nothing_is_wanted_and_nothing_may_go() -> None:
    one = Writing([(REMOTE, LEARNED), (POD, DEVICE)], removable=())
    await one.writer.read_all()
    assert not one.woken.is_set()


async def test_of_learned_routes_that_may_go_only_those_are_due_that_nothing_wants() -> None:
    other = Prefix.parse("10.99.0.0/26")
    one = Writing([(REMOTE, LEARNED), (other, LEARNED), (POD, DEVICE)], removable=())
    await one.writer.read_all()
    one.rib.put(Source.LEARNED, REMOTE, LEARNED)
    await one.writer.write()
    one.writer.allow_removal(81)
    await one.write_when_woken()
    assert one.kernel.deeds == [f"remove {other}"]
    assert one.kernel.held(POD) == DEVICE


async def test_learned_routes_that_may_go_and_are_all_wanted_are_no_work() -> None:
    one = Writing([(REMOTE, LEARNED)], removable=())
    await one.writer.read_all()
    one.rib.put(Source.LEARNED, REMOTE, LEARNED)
    await one.writer.write()
    one.writer.allow_removal(81)
    assert not one.woken.is_set()


async def test_one_change_among_many_routes_costs_one_route() -> None:
    one = Writing()
    one.rib.put_all(Source.LEARNED, {Prefix.parse(f"10.66.{n}.0/26"): LEARNED for n in range(200)})
    await one.writer.write()
    one.rib.put(Source.PODS, POD, DEVICE)
    await one.writer.write()
    assert one.kernel.batches[-1] == ([(POD, DEVICE)], [])


async def test_nothing_is_removed_before_its_protocol_may_be_and_then_it_is_due() -> None:
    one = Writing([(BLOCK, HOLE), (REMOTE, LEARNED)], removable=())
    await one.writer.read_all()
    await one.writer.write()
    assert not one.kernel.batches
    one.woken.clear()
    one.writer.allow_removal(81)
    await one.write_when_woken()
    assert one.kernel.batches == [([], [(REMOTE, LEARNED)])]


async def test_a_refused_route_is_reported_and_tried_again_until_it_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    one = Writing()
    one.kernel.refused[POD] = "Network is unreachable (ENETUNREACH)"
    one.rib.put(Source.PODS, POD, DEVICE)
    await one.writer.write()
    assert one.writer.refused[POD].text == "Network is unreachable (ENETUNREACH)"
    assert "put route 10.65.1.2/32 dev cali0" in caplog.text
    assert "ENETUNREACH); next try in" in caplog.text
    await one.write_when_woken()
    assert POD in one.writer.refused
    one.kernel.refused.clear()
    await one.write_when_woken()
    assert one.kernel.held(POD) == DEVICE
    assert not one.writer.refused


async def test_a_refused_route_does_not_keep_the_others_from_the_kernel() -> None:
    one = Writing()
    one.kernel.refused[POD] = "no"
    one.rib.put(Source.PODS, POD, DEVICE)
    one.rib.put(Source.BLOCKS, BLOCK, HOLE)
    await one.writer.write()
    assert one.kernel.held(BLOCK) == HOLE
    assert one.writer.fib.held == {BLOCK: HOLE}


async def test_a_refused_replacement_leaves_the_route_that_was_there() -> None:
    one = Writing([(BLOCK, HOLE)])
    await one.writer.read_all()
    one.rib.put(Source.LEARNED, BLOCK, LEARNED)
    one.kernel.refused[BLOCK] = "no"
    await one.writer.write()
    assert one.writer.fib.held == {BLOCK: HOLE} == {BLOCK: one.kernel.held(BLOCK)}


async def test_a_refused_route_that_is_not_wanted_any_more_is_forgotten() -> None:
    one = Writing()
    one.kernel.refused[POD] = "no"
    one.rib.put(Source.PODS, POD, DEVICE)
    await one.writer.write()
    one.rib.remove(Source.PODS, POD)
    await one.writer.write()
    assert not one.writer.refused


async def test_a_foreign_deletion_is_logged_counted_and_put_right(caplog: pytest.LogCaptureFixture) -> None:
    one = Writing()
    one.rib.put(Source.BLOCKS, BLOCK, HOLE)
    await one.writer.write()
    one.woken.clear()
    assert one.writer.foreign_change(one.kernel.foreign_remove(BLOCK), repair=True)
    await one.write_when_woken()
    assert one.kernel.held(BLOCK) == HOLE
    assert one.writer.repairs == 1
    assert "was deleted by another program; putting it right" in caplog.text


async def test_a_foreign_replacement_is_put_right_and_its_protocol_named(caplog: pytest.LogCaptureFixture) -> None:
    one = Writing()
    one.rib.put(Source.BLOCKS, BLOCK, HOLE)
    await one.writer.write()
    assert one.writer.foreign_change(one.kernel.foreign_put(BLOCK, FOREIGN), repair=True)
    await one.writer.write()
    assert one.kernel.held(BLOCK) == HOLE
    assert "replaced by protocol 3" in caplog.text


async def test_with_repair_off_a_foreign_change_is_reported_only() -> None:
    one = Writing()
    one.rib.put(Source.BLOCKS, BLOCK, HOLE)
    await one.writer.write()
    assert one.writer.foreign_change(one.kernel.foreign_remove(BLOCK), repair=False)
    await one.writer.write()
    assert one.kernel.held(BLOCK) is None
    assert (one.writer.foreign_changes, one.writer.repairs) == (1, 0)


async def test_a_change_of_a_route_that_is_not_ours_is_none() -> None:
    one = Writing()
    assert not one.writer.foreign_change(RouteChanged(REMOTE, RouteSpec(4, hops=DEVICE.hops, metric=0)), repair=True)
    assert not one.woken.is_set()


async def test_a_foreign_change_during_a_batch_is_seen_as_one() -> None:
    one = Writing()
    one.rib.put(Source.BLOCKS, BLOCK, HOLE)
    one.kernel.open.clear()
    writing = asyncio.create_task(one.writer.write())
    await until(lambda: BLOCK in one.writer.fib.held)
    assert one.writer.foreign_change(RouteChanged(BLOCK, HOLE, gone=True), repair=True)
    one.kernel.open.set()
    await writing
    await one.writer.write()
    assert len(one.kernel.batches) == 2


async def test_after_lost_events_a_dump_shows_what_is_due() -> None:
    one = Writing()
    one.rib.put(Source.BLOCKS, BLOCK, HOLE)
    one.rib.put(Source.PODS, POD, DEVICE)
    await one.writer.write()
    del one.kernel.routes[POD, 1030]
    one.kernel.routes[REMOTE, 1030] = LEARNED
    await one.writer.read_all()
    await one.write_when_woken()
    assert one.kernel.batches[-1] == ([(POD, DEVICE)], [(REMOTE, LEARNED)])


async def test_a_device_that_went_down_took_its_routes_along_and_they_are_due() -> None:
    one = Writing()
    one.rib.put(Source.PODS, POD, DEVICE)
    await one.writer.write()
    del one.kernel.routes[POD, 1030]  # as the kernel does, without an event
    one.writer.lost_device(7)
    await one.write_when_woken()
    assert one.kernel.held(POD) == DEVICE


async def test_a_cancelled_batch_is_written_again_whole() -> None:
    one = Writing()
    one.rib.put(Source.PODS, POD, DEVICE)
    one.kernel.open.clear()
    writing = asyncio.create_task(one.writer.write())
    await until(lambda: POD in one.writer.fib.held)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    one.kernel.open.set()
    await one.write_when_woken()
    assert one.kernel.held(POD) == DEVICE


OLD, NEW = replace(ETH0, index=7, name="old"), ETH0
MEANWHILE = ("old down", "new down", "foreign removal", "foreign replacement", "replacement in our name")


@given(held=st.booleans(), meanwhile=st.lists(st.sampled_from(MEANWHILE), max_size=4), cancelled=st.booleans())
def test_what_a_batch_did_not_write_is_known_as_the_kernel_holds_it_whatever_happened_meanwhile(
    *, held: bool, meanwhile: list[str], cancelled: bool
) -> None:
    asyncio.run(_unwritten(held, meanwhile, cancelled))


async def _unwritten(held: bool, meanwhile: list[str], cancelled: bool) -> None:
    one = Writing([(POD, DEVICE)] * held)
    await one.writer.read_all()
    one.rib.put(Source.LEARNED, POD, LEARNED)
    one.kernel.refused[POD] = "no"
    one.kernel.open.clear()
    writing = asyncio.create_task(one.writer.write())
    await until(lambda: one.writer.fib.held.get(POD) == LEARNED)
    for event in meanwhile:
        _happen(one, event)
    if cancelled:
        writing.cancel()
    one.kernel.open.set()
    await asyncio.wait([writing])
    actual = one.kernel.held(POD)
    assert one.writer.fib.held.get(POD) == (actual if actual and one.writer.fib.ownership.has(actual) else None)


def _happen(one: Writing, event: str) -> None:
    if event in ("old down", "new down"):
        link = OLD if event == "old down" else NEW
        one.kernel.set_link(replace(link, up=False))
        one.writer.lost_device(link.index)
    elif event != "foreign removal":
        spec = FOREIGN if event == "foreign replacement" else DEVICE._replace(hops=(NextHop(9),))
        one.writer.foreign_change(one.kernel.foreign_put(POD, spec), repair=True)
    elif one.kernel.held(POD):
        one.writer.foreign_change(one.kernel.foreign_remove(POD), repair=True)


async def test_a_batch_that_fails_is_due_again_and_the_error_rises() -> None:
    one = Writing()
    one.rib.put(Source.PODS, POD, DEVICE)
    one.kernel.failure = KernelError("write a batch: no buffer space (ENOBUFS)")
    with pytest.raises(KernelError):
        await one.writer.write()
    one.kernel.failure = None
    await one.write_when_woken()
    assert one.kernel.held(POD) == DEVICE


async def test_after_a_failure_what_was_not_planned_yet_and_what_was_withdrawn_is_due_too() -> None:
    one = Writing([(REMOTE, LEARNED)], removable=())
    await one.writer.read_all()
    many = {Prefix.parse(f"10.{n >> 8}.{n & 255}.0/26"): LEARNED for n in range(3 * PORTION)}
    one.rib.put_all(Source.LEARNED, many)
    one.writer.withdrawn([REMOTE])
    one.kernel.failure = KernelError("write a batch: no buffer space (ENOBUFS)")
    with pytest.raises(KernelError):
        await one.writer.write()
    one.kernel.failure = None
    await one.write_when_woken()
    assert {prefix for prefix, _ in one.kernel.routes} == many.keys()
    assert one.writer.fib.held == many


async def test_what_is_withdrawn_while_it_is_put_is_removed_next() -> None:
    one = Writing(removable=())
    one.rib.put(Source.LEARNED, REMOTE, LEARNED)
    one.kernel.open.clear()
    writing = asyncio.create_task(one.writer.write())
    await until(lambda: REMOTE in one.writer.fib.held)
    one.rib.remove(Source.LEARNED, REMOTE)
    one.writer.withdrawn([REMOTE])
    one.kernel.open.set()
    await writing
    await one.write_when_woken()
    assert one.kernel.deeds == [f"put {REMOTE}", f"remove {REMOTE}"]


async def test_callers_that_come_during_a_batch_share_the_next_one() -> None:
    one = Writing()
    one.rib.put(Source.BLOCKS, BLOCK, HOLE)
    one.kernel.open.clear()
    callers = [asyncio.create_task(one.writer.write())]
    await until(lambda: BLOCK in one.writer.fib.held)
    for n in range(5):
        one.rib.put(Source.PODS, Prefix.parse(f"10.65.1.{n}/32"), DEVICE)
        callers.append(asyncio.create_task(one.writer.write()))
    await asyncio.sleep(0)
    one.kernel.open.set()
    await asyncio.gather(*callers)
    assert [len(put) for put, _ in one.kernel.batches] == [1, 5]


async def test_a_write_of_ours_that_replaced_a_foreign_route_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    one = Writing([(REMOTE, FOREIGN)])
    await one.writer.read_all()
    one.writer.own_change(RouteChanged(REMOTE, LEARNED, replaced=True, own=True))
    assert one.writer.foreign_touched == [
        "a write of ours hit 10.65.2.0/26 via 192.0.2.2 dev eth0 proto 81 metric 1030"
    ]
    assert caplog.records[-1].levelno == logging.ERROR


async def test_each_change_is_logged_as_a_command_of_ip(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one = Writing()
    one.rib.put(Source.PODS, POD, DEVICE)
    await one.writer.write()
    one.rib.remove(Source.PODS, POD)
    await one.writer.write()
    assert [record.getMessage().split(" proto")[0] for record in caplog.records] == [
        "ip route replace 10.65.1.2/32 dev cali0",
        "ip route del 10.65.1.2/32 dev cali0",
    ]


async def test_a_large_batch_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one = Writing()
    count = LOGGED_ONE_BY_ONE + 1
    one.rib.put_all(Source.LEARNED, {Prefix.parse(f"10.{n >> 8}.{n & 255}.0/26"): LEARNED for n in range(count)})
    await one.writer.write()
    assert [record.getMessage() for record in caplog.records] == [f"wrote {count} routes: {count} put, 0 removed"]


async def test_a_dump_that_differs_from_what_was_believed_is_a_line_and_a_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = Writing([(BLOCK, HOLE)])
    await one.writer.read_all()
    assert not caplog.messages, "the first time nothing was believed yet"
    one.kernel.foreign_remove(BLOCK)
    await one.writer.read_all()
    assert one.writer.silent_changes == 1
    assert caplog.messages == [
        f"the kernel changed 1 routes of ours without an event, such as {BLOCK}, which it no longer holds; "
        "putting it right"
    ]
    await one.writer.read_all()
    assert one.writer.silent_changes == 1


async def test_what_is_wanted_anew_written_or_changed_by_others_counts_as_touched() -> None:
    one = Writing([(BLOCK, HOLE), (REMOTE, LEARNED)])
    for source, prefix, spec in ((Source.BLOCKS, BLOCK, HOLE), (Source.LEARNED, REMOTE, LEARNED)):
        one.rib.put(source, prefix, spec)
    await one.writer.read_all()
    await one.writer.write()
    assert one.writer.touched.take() is None, "at first"
    await one.writer.read_all()
    await one.writer.write()
    assert one.writer.touched.take() == set(), "all is as it was"
    one.rib.put(Source.PODS, POD, DEVICE)
    await one.writer.write()
    assert one.writer.touched.take() == {POD}
    one.writer.foreign_change(one.kernel.foreign_remove(REMOTE), repair=False)
    assert one.writer.touched.take() == {REMOTE}
    one.writer.lost_device(7)
    assert one.writer.touched.take() == {POD}
    await one.writer.write()
    assert one.writer.touched.take() == {POD}, "put"
    del one.kernel.routes[BLOCK, 1030]
    await one.writer.read_all()
    assert one.writer.touched.take() == {BLOCK}, "without an event"
    one.rib.put(Source.PODS, POD, HOLE)
    one.kernel.failure = KernelError("write routes: no")
    with pytest.raises(KernelError):
        await one.writer.write()
    one.writer.touched.take()
    one.kernel.failure = None
    await one.writer.write()
    assert one.writer.touched.take() == {POD, BLOCK, REMOTE}, "again"
