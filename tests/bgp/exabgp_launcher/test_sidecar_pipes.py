"""The pipes in place of a child."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bgp.events import SpeakerStarted
from bgp.exabgp_launcher import sidecar_pipes
from tests.bgp.exabgp_nodes import node, speaker


def test_the_lines_of_a_turn_are_written_together_and_in_order() -> None:
    reading, writing = os.pipe()
    lines = sidecar_pipes.LinesOfATurn(writing)
    os.set_blocking(reading, False)
    for line in (b"one\n", b"two\n"):
        lines.write(line)
        lines.flush()
    with pytest.raises(BlockingIOError):
        os.read(reading, 1)
    lines.send()
    assert os.read(reading, 100) == b"one\ntwo\n"
    os.close(reading)
    lines.write(b"three\n")
    with pytest.raises(BrokenPipeError):
        lines.send()


async def test_the_launcher_needs_no_child(tmp_path: Path, network: None) -> None:
    async with node(tmp_path) as one:
        await one.exabgp.reload(speaker(1, 2))
        await one.wait_for(SpeakerStarted())
        pid = one.exabgp.pid
        assert Path(f"/proc/{pid}/task/{pid}/children").read_text() == ""
