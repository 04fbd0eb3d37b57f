"""One process's output, sorted: what is reported when."""

from __future__ import annotations

import asyncio
import json
import os
import sys

import pytest

from bgp import exabgp_json
from bgp.events import PeerUp, SpeakerEvent, SpeakerStarted, UpdatesReceived
from bgp.exabgp_process import EVENTS_FACTOR, ExaBGPError, ExaBGPProcess
from bgp.update import event
from tests.bgp.raw_peer import UPDATE, message, networks
from tests.bgp.raw_peer import update_body as body

UP = {"type": "state", "neighbor": {"address": {"local": "192.0.2.1", "peer": "192.0.2.2"}, "state": "up"}}
PATIENCE = 30.0
REPORTS_ITS_INPUT = """
import os, sys
os.write(int(sys.argv[sys.argv.index("--events") + 1]), b"{" + sys.stdin.read().replace("\\n", " ").encode() + b"\\n")
"""
REPORTS_AND_NEVER_ANSWERS = """
import os, sys
events = int(sys.argv[sys.argv.index("--events") + 1])
while True:
    os.write(events, b'{"of": "a peer"}\\n' * 100)
"""


async def test_a_session_that_is_up_before_the_first_answer_is_reported_after_the_start() -> None:
    """Reported before, it would count as lost with the process before: never up, without an end-of-RIB."""
    events: asyncio.Queue[SpeakerEvent] = asyncio.Queue()
    process = ExaBGPProcess(exabgp_json.event, events, 1.0)
    process._on_line(json.dumps(UP).encode())
    assert events.empty()
    process.mark_ready()
    process._on_line(json.dumps(UP).encode())
    up = PeerUp("192.0.2.2")
    assert [events.get_nowait() for _ in range(events.qsize())] == [SpeakerStarted(), up, up]


async def test_the_decoder_that_is_handed_in_makes_the_events() -> None:
    events: asyncio.Queue[SpeakerEvent] = asyncio.Queue()
    process = ExaBGPProcess(lambda line: PeerUp(line.decode()), events, 1.0)
    process.mark_ready()
    process._on_line(b"{anything}")
    assert [events.get_nowait() for _ in range(events.qsize())] == [SpeakerStarted(), PeerUp("{anything}")]


async def test_a_wait_for_answers_ends_when_it_is_cancelled_while_something_comes() -> None:
    """Else a sidecar that is told to end would go on for ever."""
    process = ExaBGPProcess(exabgp_json.event, asyncio.Queue(), PATIENCE)
    waiting = asyncio.create_task(process._receive(1))
    for _ in range(3):
        await asyncio.sleep(0)
    process._progress.set()
    waiting.cancel()
    await asyncio.wait([waiting], timeout=PATIENCE / 2)
    assert waiting.cancelled()


async def test_a_malformed_line_is_skipped() -> None:
    events: asyncio.Queue[SpeakerEvent] = asyncio.Queue()
    process = ExaBGPProcess(exabgp_json.event, events, 1.0)
    process.mark_ready()
    process._on_line(b"{")
    process._on_line(json.dumps(UP).encode())
    assert [events.get_nowait() for _ in range(events.qsize())] == [SpeakerStarted(), PeerUp("192.0.2.2")]


async def test_of_updates_that_came_together_only_the_malformed_one_is_skipped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    events: asyncio.Queue[SpeakerEvent] = asyncio.Queue()
    process = ExaBGPProcess(event, events, 1.0)
    process.mark_ready()
    malformed = body(b"\x40\x01\x01\x09", networks("10.65.3.0/26"))
    before, behind = (body(withdrawn=networks(each)) for each in ("10.65.1.0/26", "10.65.2.0/26"))
    together = b"".join(message(UPDATE, each) for each in (before, malformed, behind))
    process._on_line(f"update 192.0.2.2 - {together.hex()}".encode())
    events.get_nowait()
    found = [events.get_nowait() for _ in range(events.qsize())]
    updates = [update for each in found if isinstance(each, UpdatesReceived) for update in each.updates]
    assert [str(path.prefix) for update in updates for path in update.withdrawn] == ["10.65.1.0/26", "10.65.2.0/26"]
    assert len(caplog.messages) == 1 and malformed.hex() in caplog.messages[0]


async def test_lines_that_a_peer_causes_are_counted_and_not_all_logged(caplog: pytest.LogCaptureFixture) -> None:
    process = ExaBGPProcess(exabgp_json.event, asyncio.Queue(), 1.0)
    for port in range(10_000):
        process._on_stderr(b"[Errno 107] Transport endpoint is not connected")
        process._on_line(b'{"type": %d' % port)
    assert 2 <= len(caplog.records) <= 20


async def test_a_password_that_it_quotes_is_in_no_log_and_no_reason(caplog: pytest.LogCaptureFixture) -> None:
    process = ExaBGPProcess(exabgp_json.event, asyncio.Queue(), 1.0)
    for line in (b"could not load/reload configuration", b'line 7: md5-password "s3cret";'):
        process._on_stderr(line)
    assert process.exit_reason() == ("it refuses its configuration: md5-password …", True)
    assert "ExaBGP: md5-password …" in caplog.text and "s3cret" not in caplog.text


async def test_a_process_waits_for_its_settings_until_it_is_told_to_begin() -> None:
    events: asyncio.Queue[SpeakerEvent] = asyncio.Queue()
    process = ExaBGPProcess(lambda line: PeerUp(line.decode()), events, PATIENCE)
    await process.start([sys.executable, "-c", REPORTS_ITS_INPUT], os.environ)
    try:
        process.mark_ready()
        assert not process.ended.is_set()
        process.begin({"exabgp.tcp.bind": "10.9.0.1 fd09::1", "exabgp.tcp.port": "179"})
        async with asyncio.timeout(PATIENCE):
            assert await events.get() == SpeakerStarted()
            assert await events.get() == PeerUp("{exabgp.tcp.bind=10.9.0.1 fd09::1 exabgp.tcp.port=179 ")
    finally:
        await process.end()


async def test_a_process_that_reports_on_peers_does_not_count_as_hanging() -> None:
    process = ExaBGPProcess(exabgp_json.event, asyncio.Queue(), 1.0)
    process._on_line(json.dumps(UP).encode())
    assert process._progress.is_set()


async def test_a_process_that_reports_on_peers_and_never_answers_does() -> None:
    events: asyncio.Queue[SpeakerEvent] = asyncio.Queue()
    process = ExaBGPProcess(lambda _: PeerUp("192.0.2.2") if events.empty() else None, events, 0.1)
    await process.start([sys.executable, "-c", REPORTS_AND_NEVER_ANSWERS], os.environ)
    try:
        process.mark_ready()
        async with asyncio.timeout(PATIENCE):
            while await events.get() == SpeakerStarted():
                pass  # it has begun to report
            with pytest.raises(ExaBGPError, match="it ended, 1 are missing"):
                await process.ask(["version"])
    finally:
        await process.end()
    assert process.exit_reason() == (f"killed, because no answer came for {EVENTS_FACTOR * 0.1:g} s", False)
