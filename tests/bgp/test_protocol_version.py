"""What an agent and a sidecar of two releases are told, and that a line that has changed is another version."""

from __future__ import annotations

from typing import get_args

import pytest
from msgspec.structs import fields

from bgp.protocol import Hello, SidecarMessage, decode
from bgp.protocol_version import UNSTATED, VERSION, difference
from tests.bgp.protocol_samples import ATTRIBUTES, LOCAL, lines, messages, recorded


def test_two_of_one_version_differ_in_nothing() -> None:
    assert difference(VERSION, VERSION) is None


@pytest.mark.parametrize(
    ("agent", "sidecar", "older"),
    [(1, 2, "agent"), (2, 1, "sidecar"), (UNSTATED, 1, "agent"), (1, UNSTATED, "sidecar")],
)
def test_the_older_one_is_to_be_started_anew_and_named(agent: int, sidecar: int, older: str) -> None:
    said = difference(agent, sidecar) or ""
    assert f"restart the {older}, which is of the older release (systemctl restart felix-{older})" in said
    assert "learned routes stay" in said


def test_a_line_that_is_written_otherwise_than_it_was_recorded_is_another_version() -> None:
    path = recorded("agent", VERSION)
    assert lines() == path.read_text(), (
        "a line between agent and sidecar has changed, and one of each release may meet: raise VERSION in "
        "bgp/protocol_version.py, then run python -m tests.bgp.protocol_samples"
    )


def test_each_kind_of_line_is_recorded_with_each_of_its_fields() -> None:
    assert {type(message) for message in messages()} == set(get_args(SidecarMessage))
    for sample in (ATTRIBUTES, LOCAL):
        assert not [each.name for each in fields(sample) if getattr(sample, each.name) == each.default]


def test_the_first_line_of_another_version_can_be_read() -> None:
    assert decode(b'{"hello":"agent","version":7,"new":[]}') == Hello("agent", 0, 7)
    assert decode(b'{"hello":"observer"}') == Hello("observer", 0, UNSTATED)
