"""The agent's answers on its status socket, as values, or a sentence on why there is none."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from felixctl.errors import CommandError
from felixctl.status_client import page_object
from tests.felixctl.agent import agent, answered
from tests.felixctl.command import Felixctl


def test_no_agent_is_a_sentence(felixctl: Felixctl, tmp_path: Path) -> None:
    for arguments in (["node", "status"], ["routes"]):
        ended = felixctl(*arguments, "--run-dir", str(tmp_path))
        assert (ended.status, ended.out) == (1, "")
        assert "no agent runs here" in ended.err


def test_an_agent_that_has_ended_is_a_sentence(felixctl: Felixctl, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left_behind:
        left_behind.bind(str(tmp_path / "status.sock"))
    ended = felixctl("node", "status", "--run-dir", str(tmp_path))
    assert (ended.status, "the agent has ended" in ended.err) == (1, True)


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 500 Oops\r\n\r\n", answered(["no", "object"]), b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000],
)
def test_a_malformed_answer_is_a_sentence(felixctl: Felixctl, tmp_path: Path, answer: bytes) -> None:
    with agent(tmp_path, answer):
        ended = felixctl("node", "status", "--run-dir", str(tmp_path))
    assert (ended.status, ended.err.startswith("felixctl: read the agent's status at ")) == (1, True)


@pytest.mark.parametrize("body", [b"", b"[]", b"not JSON", b"\xff", b"[" * 100_000])
def test_what_is_no_page_is_a_sentence(body: bytes) -> None:
    with pytest.raises(CommandError, match="read it: what it sent is not a JSON object"):
        page_object("read it", body)
