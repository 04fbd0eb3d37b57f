"""Values to JSON and back: what was written is what is read, and what is no such value is a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import fields

from felix_py import status_model
from felix_py.status.status_json import from_json, to_json
from felix_py.status_model import (
    AgentStatus,
    InvariantReport,
    NodeTrace,
    RouteIssue,
    RouteNote,
    RoutesPage,
    RouteStatus,
    SessionStatus,
)
from net.ip_route import IpRoute
from net.prefix import Prefix


def prefixes() -> st.SearchStrategy[Prefix]:
    def network(address: bytes, length: int) -> Prefix:
        bits = 8 * len(address)
        kept = min(length, bits)
        return Prefix((int.from_bytes(address) >> bits - kept << bits - kept).to_bytes(len(address)), kept)

    addresses = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)
    return st.builds(network, addresses, st.integers(0, 128))


st.register_type_strategy(Prefix, prefixes())


def values(kind: type[Struct], **own: st.SearchStrategy[Any]) -> st.SearchStrategy[Struct]:
    """Values with and without each field that has a default; own: what a field is made of, if not by its type."""
    made = {field.name: st.from_type(field.type) for field in fields(kind)} | own
    optional = {field.name: made.pop(field.name) for field in fields(kind) if not field.required}
    return st.fixed_dictionaries(made, optional=optional).map(lambda given: kind(**given))


for kind in vars(status_model).values():
    if isinstance(kind, type) and issubclass(kind, Struct):
        # By itself hypothesis takes msgspec's placeholder for the value of a default_factory.
        st.register_type_strategy(kind, values)
times = st.none() | st.floats(allow_nan=False)  # NaN equals nothing
st.register_type_strategy(SessionStatus, values(SessionStatus, since=times))


@pytest.mark.parametrize("form", [AgentStatus, RoutesPage, NodeTrace, InvariantReport, SessionStatus])
def test_every_page_is_read_back_as_it_was_written(form: type[Any]) -> None:
    # Each of the larger pages holds dozens of rows of every kind.
    @settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(st.from_type(form))
    def round_trip(value: Any) -> None:
        assert from_json(form, json.loads(json.dumps(to_json(value)))) == value

    round_trip()


def test_unknown_keys_are_ignored_and_missing_ones_have_their_defaults() -> None:
    session = from_json(SessionStatus, {"address": "192.0.2.2", "colour": "green"})
    assert session == SessionStatus("192.0.2.2")


@pytest.mark.parametrize(
    ("form", "record", "message"),
    [
        (SessionStatus, [], r"\[\] is not of type dict"),
        (SessionStatus, {}, "SessionStatus: address is missing"),
        (NodeTrace, {"node": "n1"}, "NodeTrace: kernel is missing"),  # as of an agent of another version
        (SessionStatus, {"address": "192.0.2.2", "learned": True}, "SessionStatus.learned: True is not of type int"),
        (RoutesPage, {"routes": [{"route": {"prefix": "10.65.0"}, "source": ""}]}, "IpRoute.prefix: not an IP address"),
        (RouteNote, {"issue": "odd"}, "RouteNote.issue: 'odd' is not a valid RouteIssue"),
    ],
)
def test_what_is_no_such_value_is_named(form: type[Any], record: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_json(form, record)


def test_prefixes_and_issues_are_text_in_json() -> None:
    route = RouteStatus(IpRoute(Prefix.parse("10.65.0.0/26")), "blocks", note=RouteNote(RouteIssue.REFUSED))
    record = to_json(route)
    assert record["route"]["prefix"] == "10.65.0.0/26"
    assert json.loads(json.dumps(record))["note"]["issue"] == "refused"
