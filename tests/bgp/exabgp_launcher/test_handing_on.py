"""What reaches the sidecar of the UPDATEs that a peer sends, and what is left to ExaBGP."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgp.events import PeerDown, SpeakerEvent, SpeakerStarted, UpdateReceived
from bgp.exabgp_launcher.handing_on import RUN_BYTES, RUN_MESSAGES, Run, is_part_of_update, plain_run
from bgp.exabgp_launcher.plain_updates import Session
from bgp.update import event
from net.prefix import Prefix
from tests.bgp.exabgp_launcher.in_python import in_python
from tests.bgp.exabgp_launcher.streams import AS_PATH, MANDATORY, ONE, ORIGIN, TWO
from tests.bgp.exabgp_nodes import AS, address, node, speaker
from tests.bgp.raw_peer import (
    ADD_PATH,
    CAPABILITIES,
    KEEPALIVE,
    OPTIONAL,
    attribute,
    message,
    networks,
    raw_peer,
    update,
)

SESSION, LONGEST = Session(external=False, ipv6=True), 4096
END_OF_RIB, ALIVE = update(), message(KEEPALIVE, b"")


def reach(prefixes: bytes) -> bytes:
    next_hop = bytes([0x20, 1, *bytes(13), 2])
    return attribute(OPTIONAL, 14, b"\0\2\1" + bytes([len(next_hop)]) + next_hop + b"\0" + prefixes)


@pytest.mark.parametrize(
    "behind", [b"", ALIVE, END_OF_RIB, TWO[:-1], TWO[:18], b"\0" + TWO[1:], b"\xff" * 16 + b"\0\x16\2"]
)
def test_a_run_ends_before_what_is_no_plain_update(behind: bytes) -> None:
    assert plain_run(ONE + TWO + ONE + behind, SESSION, LONGEST) == Run(3, len(ONE + TWO + ONE))
    assert plain_run(behind, SESSION, LONGEST) == Run(0, 0)


def test_no_run_is_longer_than_its_turn_allows() -> None:
    assert plain_run(ONE * 2 * RUN_MESSAGES, SESSION, LONGEST).updates == RUN_MESSAGES


def test_a_message_that_is_longer_than_both_ends_agreed_on_is_left_to_exabgp() -> None:
    assert plain_run(ONE, SESSION, len(ONE)).updates == 1
    assert plain_run(ONE, SESSION, len(ONE) - 1).updates == 0
    assert not is_part_of_update(bytearray(ONE[:-1]), len(ONE) - 1)


def test_more_is_waited_for_only_of_what_may_become_an_update() -> None:
    for size in range(len(ONE)):
        assert is_part_of_update(bytearray(ONE[:size]), LONGEST)
    for whole in (ONE, ONE + TWO, ALIVE, b"\0" + ONE[1:19], b"\xff" * 16 + b"\0\x16\2", b"\xff" * 16 + b"\0\x1e\4"):
        assert not is_part_of_update(bytearray(whole), LONGEST)


def test_however_a_stream_is_cut_it_is_heard_as_exabgp_hears_it() -> None:
    done = in_python("import sys; from tests.bgp.exabgp_launcher.streams import main; sys.exit(main())")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 1000


async def test_what_comes_before_an_error_counts_and_the_error_is_answered(tmp_path: Path, network: None) -> None:
    prefixes = [f"10.65.{number >> 2}.{(number & 3) << 6}/26" for number in range(3 * RUN_MESSAGES)]
    async with node(tmp_path) as one:
        await one.exabgp.reload(speaker(1, 2))
        await one.wait_for(SpeakerStarted())
        async with raw_peer(address(2), address(1), AS) as writer:
            updates = b"".join(update(MANDATORY, networks(prefix)) for prefix in prefixes)
            writer.write(updates + ALIVE + updates[: RUN_BYTES // 2] + b"\xff" * 16 + b"\0\x12\2")
            await one.wait_for(PeerDown(address(2), "notification sent (1,2)"))
    told = [path.prefix for each in one.events if isinstance(each, UpdateReceived) for path in each.announced]
    assert told[: len(prefixes)] == [Prefix.parse(prefix) for prefix in prefixes]


async def test_exabgp_decodes_what_is_plain_too_where_that_is_asked_for(tmp_path: Path, network: None) -> None:
    lines = list[bytes]()

    def decode(line: bytes) -> SpeakerEvent | None:
        lines.append(line)
        return event(line)

    sent = update(MANDATORY + reach(networks("fd00:65::/122")), networks("10.65.1.0/26"))
    async with node(tmp_path, decode=decode, compare_decoders=True) as one:
        await one.exabgp.reload(speaker(1, 2))
        await one.wait_for(SpeakerStarted())
        async with raw_peer(address(2), address(1), AS) as writer:
            writer.write(sent)
            await one.wait_for(lambda event: isinstance(event, UpdateReceived) and len(event.announced) == 2)
    [line] = (line for line in lines if line.startswith(b"compare 10.9.0.2 - " + sent.hex().encode()))
    told = event(line)
    assert isinstance(told, UpdateReceived) and told.disagreement is None


@pytest.mark.parametrize(
    ("capabilities", "path_ids", "before"),
    [(CAPABILITIES, b"-", b""), (CAPABILITIES + ADD_PATH, b"ipv4,ipv6", bytes(4))],
)
async def test_a_plain_update_is_handed_on_with_what_was_negotiated(
    capabilities: bytes, path_ids: bytes, before: bytes, tmp_path: Path, network: None
) -> None:
    lines = list[bytes]()

    def decode(line: bytes) -> SpeakerEvent | None:
        lines.append(line)
        return event(line)

    sent = update(ORIGIN + AS_PATH + reach(before + networks("fd00:65::/122")))
    async with node(tmp_path, decode=decode) as one:
        await one.exabgp.reload(speaker(1, 2))
        await one.wait_for(SpeakerStarted())
        async with raw_peer(address(2), address(1), AS, capabilities) as writer:
            writer.write(2 * sent)
            await one.wait_for(lambda event: isinstance(event, UpdateReceived))
    told = [line for line in lines if line.startswith(b"update ")]
    assert told[0].startswith(b"update 10.9.0.2 " + path_ids + b" " + sent.hex().encode())
