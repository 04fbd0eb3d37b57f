"""A BatchWriter in a real network namespace: whose failures are whose, and what is written when it is given up."""

from __future__ import annotations

import errno
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest

from kernel.batch_writer import BatchWriter
from kernel.message import ACK
from kernel.netns import inside
from kernel.route import BLACKHOLE, NextHop, RouteSpec, put_envelope
from kernel.rtnetlink import Rtnetlink
from tests.kernel.netns import Namespace

DROP, NOWHERE = RouteSpec(80, 1030, BLACKHOLE), RouteSpec(80, 1030, hops=(NextHop(9999),))
COUNT = 300


@pytest.fixture
def writer(node: Namespace) -> Iterator[BatchWriter]:
    with inside(node.descriptor):
        made = BatchWriter()
    with closing(made):
        yield made


def requests(number: int, specs: Sequence[RouteSpec]) -> bytes:
    """Return the messages that put a route 10.NUMBER.x.y/32 with each of these specs, numbered from 1."""
    messages = [
        bytearray(put_envelope(spec, 4, 32).around(sequence, bytes((10, number, sequence >> 8, sequence & 255))))
        for sequence, spec in enumerate(specs, 1)
    ]
    messages[-1][6] |= ACK
    return b"".join(messages)


async def test_each_batch_has_its_own_failures(writer: BatchWriter, kernel: Rtnetlink) -> None:
    of_each = [[DROP, NOWHERE, DROP], [NOWHERE, NOWHERE], [DROP], [DROP, NOWHERE]]
    answered = [writer.submit(requests(number, specs), len(specs)) for number, specs in enumerate(of_each)]
    failures = [[(one.sequence, one.errno) for one in await each] for each in answered]
    assert failures == [[(2, errno.ENODEV)], [(1, errno.ENODEV), (2, errno.ENODEV)], [], [(2, errno.ENODEV)]]
    assert {str(prefix) for prefix, _ in await kernel.dump([80])} == {
        "10.0.0.1/32",
        "10.0.0.3/32",
        "10.2.0.1/32",
        "10.3.0.1/32",
    }


async def test_batches_that_wait_are_sent_together_as_many_as_one_call_may(
    writer: BatchWriter, kernel: Rtnetlink, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, work, take = threading.Event(), BatchWriter._work, BatchWriter._take
    taken: list[int] = []

    def held_back(self: BatchWriter) -> None:
        assert go.wait(20)
        work(self)

    def counted(self: BatchWriter) -> list[Any]:
        found = take(self)
        taken.append(len(found))
        return found

    monkeypatch.setattr(BatchWriter, "_work", held_back)
    monkeypatch.setattr(BatchWriter, "_take", counted)
    batches = [requests(number, [DROP] * (COUNT - 1) + [NOWHERE]) for number in range(40)]
    answered = [writer.submit(batch, COUNT) for batch in batches]
    go.set()
    assert [[one.sequence for one in await each] for each in answered] == [[COUNT]] * len(batches)
    most = writer._together // len(batches[0])  # in a user namespace the kernel takes less at a time
    whole, rest = divmod(len(batches), most)
    assert [count for count in taken if count] == [most] * whole + [rest] * bool(rest)
    assert 1 < most < len(batches)
    assert len(await kernel.dump([80])) == len(batches) * (COUNT - 1)


async def test_what_is_given_up_is_not_written_and_what_comes_then_is(writer: BatchWriter, kernel: Rtnetlink) -> None:
    given_up = [writer.submit(requests(number, [DROP] * COUNT), COUNT) for number in range(200)]
    writer.give_up()
    written = len(await kernel.dump([80]))
    assert written % COUNT == 0 and written < len(given_up) * COUNT
    assert await writer.submit(requests(250, [DROP]), 1) == []
    assert len(await kernel.dump([80])) == written + 1
    assert [one.result() for one in given_up if not one.cancelled()] == [[]] * (written // COUNT)


async def test_a_batch_of_which_the_kernel_takes_nothing_is_an_error_and_those_beside_it_are_none(
    writer: BatchWriter,
) -> None:
    far_too_long = bytes(64 << 20)
    before = writer.submit(requests(1, [DROP, NOWHERE]), 2)
    failing = writer.submit(far_too_long, 1)
    behind = writer.submit(requests(2, [NOWHERE]), 1)
    assert [one.sequence for one in await before] == [2]
    with pytest.raises(OSError) as failed:
        await failing
    assert failed.value.errno == errno.EMSGSIZE
    assert [one.sequence for one in await behind] == [1]


async def test_answers_that_the_socket_does_not_hold_are_an_error_and_the_next_batch_has_none(
    writer: BatchWriter,
) -> None:
    plain, force = struct.pack("i", 1), 33  # SO_RCVBUFFORCE
    writer._netlink.socket.setsockopt(socket.SOL_SOCKET, force, plain)
    failing, behind = (writer.submit(requests(number, [NOWHERE] * COUNT), COUNT) for number in (1, 2))
    for each in (failing, behind):
        with pytest.raises(OSError) as failed:
            await each
        assert failed.value.errno == errno.ENOBUFS
    assert await writer.submit(requests(3, [DROP]), 1) == []


async def test_a_writer_that_is_closed_has_left_out_what_was_not_begun(node: Namespace, kernel: Rtnetlink) -> None:
    with inside(node.descriptor):
        writer = BatchWriter()
    left_out = [writer.submit(requests(number, [DROP] * COUNT), COUNT) for number in range(200)]
    writer.close()
    assert len(await kernel.dump([80])) < len(left_out) * COUNT
    assert left_out[-1].cancelled()
