"""One netlink socket against the real kernel."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from contextlib import closing

import pytest

from kernel import link_codec
from kernel.message import ACK, CREATE, EXCLUSIVE, Message, message, take_messages, text
from kernel.netlink import KernelError, NetlinkSocket
from kernel.netns import inside
from kernel.route import GET_ROUTE, dump_request
from tests.kernel.netns import Namespace

NETLINK_GENERIC = 16
PATIENCE_SECONDS = 10
GET_FAMILY, CONTROLLER = 3, 0x10  # CTRL_CMD_GETFAMILY, GENL_ID_CTRL


@pytest.fixture
def netlink(node: Namespace) -> Iterator[NetlinkSocket]:
    with inside(node.descriptor):
        made = NetlinkSocket()
    with closing(made):
        yield made


def test_a_request_returns_the_answer(netlink: NetlinkSocket) -> None:
    [answer] = netlink.request(link_codec.GET_LINK, 0, link_codec.link_named("eth0"), "read eth0")
    link = link_codec.decode_link(answer.body)
    assert link is not None and link.name == "eth0"


def test_a_refused_request_says_what_was_tried_and_why(netlink: NetlinkSocket) -> None:
    with pytest.raises(KernelError, match=r"^read eth7: no such device \(ENODEV\)$") as refused:
        netlink.request(link_codec.GET_LINK, 0, link_codec.link_named("eth7"), "read eth7")
    assert refused.value.errno == errno.ENODEV


def test_a_batch_reports_its_failures_and_carries_out_the_rest(netlink: NetlinkSocket, node: Namespace) -> None:
    first = netlink.sequences(3)
    bodies = [link_codec.plain("br0", "bridge"), link_codec.plain("eth0", "bridge"), link_codec.plain("br1", "bridge")]
    flags = [CREATE | EXCLUSIVE, CREATE | EXCLUSIVE, CREATE | EXCLUSIVE | ACK]
    requests = b"".join(
        message(link_codec.NEW_LINK, flag, first + n, body) + bytes(-len(body) % 4)
        for n, (flag, body) in enumerate(zip(flags, bodies, strict=True))
    )
    assert [(one.sequence, one.errno) for one in netlink.batch(requests, first + 2)] == [(first + 1, errno.EEXIST)]
    assert "br0" in node.ip("-br link") and "br1" in node.ip("-br link")


def test_an_empty_batch_is_not_sent(netlink: NetlinkSocket) -> None:
    assert netlink.batch(b"", 0) == []


def test_a_dump_left_early_does_not_disturb_the_next_one(netlink: NetlinkSocket, node: Namespace) -> None:
    node.batch("".join(f"route add blackhole 10.9.{n // 250}.{n % 250}\n" for n in range(2000)))
    for _ in netlink.dump_parts(GET_ROUTE, dump_request(4), "read the routes"):
        break
    assert len(netlink.dump(GET_ROUTE, dump_request(4), "read the routes")) > 2000


@pytest.mark.parametrize("of", ["the first", "the last"])
def test_an_answer_that_cannot_be_read_ends_a_dump_and_does_not_disturb_the_next_one(
    netlink: NetlinkSocket, node: Namespace, of: str
) -> None:
    node.batch("".join(f"route add blackhole 10.9.{n // 250}.{n % 250}\n" for n in range(2000)))

    def take(datagram: bytes, sequence: int, found: list[Message]) -> Message | None:
        if take_messages(datagram, sequence, found) or of == "the first":
            raise ValueError("cut")
        return None

    # Else the test would wait for ever where the dump does.
    netlink.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", PATIENCE_SECONDS, 0))
    with pytest.raises(ValueError, match="cut"):
        list(netlink.dump_values(GET_ROUTE, dump_request(4), "read the routes", take))
    assert len(netlink.dump(GET_ROUTE, dump_request(4), "read the routes")) > 2000


def test_sequence_numbers_begin_anew_before_they_overflow(netlink: NetlinkSocket) -> None:
    assert netlink.sequences(5) + 5 == netlink.sequences(1)
    netlink.sequences((1 << 32) - 100)
    assert netlink.sequences(200) == 1


def test_another_family_of_netlink_is_spoken_as_well() -> None:
    """Generic netlink's controller names a family that every kernel has: itself."""
    with closing(NetlinkSocket(NETLINK_GENERIC)) as generic:
        body = bytes((GET_FAMILY, 1, 0, 0)) + text(2, "nlctrl")
        [answer] = generic.request(CONTROLLER, 0, body, "read the family nlctrl")
    assert b"nlctrl\0" in answer.body


def test_a_family_that_does_not_exist_is_refused() -> None:
    with pytest.raises(OSError, match="not supported"):
        NetlinkSocket(31)
