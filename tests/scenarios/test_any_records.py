"""No record ends an agent: records of any kind, with any text in any field, folded, brought in line and checked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datastore.errors import Invalid
from datastore.resources import KINDS, read
from datastore.store import Changed, Gone, Unreadable
from felix_py.agent import Agent
from felix_py.checks import Checks
from felix_py.outputs import bring_in_line
from felix_py.status.agent_status import AgentReporter
from felix_py.status.status_json import to_json
from felix_py.topics import Topic
from tests.datastore.odd_records import odd_texts
from tests.felix_py.fake_node import FakeNode, affinity, endpoint, node, pool

TEXTS = st.sampled_from(
    [
        "", "n1", "n2", "host:n1", "10.65.0.0/16", "10.65.1.0/26", "10.65.1.0/255.255.255.192", "10.65.1.0/0.0.0.63",
        "10.65.9.9/255.255.255.255", "10.65.1.2", "fd00::/64", "::ffff:10.65.1.2/128", "fe80::1%eth0", "0.0.0.0/0",
        "192.0.2.9", "[fd00::9]:1179", "255.255.255.255", "9" * 400 + "h", "-1s", "confirmed", "Always", "true",
        "all()", "has(", "64512", "0", "1.1", "\ud800", "\u0661", "host", "Never",
    ]
)  # fmt: skip
VALUES = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers(-3, 1 << 40) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
SOUND = [one.model_dump(by_alias=True, exclude_unset=True, mode="json") for one in (pool(), affinity(), endpoint())]


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    """A sound record with some fields of its spec changed, or one of any kind with any fields."""
    base = draw(st.sampled_from([*SOUND, *({"kind": kind, "metadata": {"name": "odd"}} for kind in sorted(KINDS))]))
    kind = KINDS[base["kind"]]
    names = [field.alias or name for name, field in kind.SPEC.model_fields.items()]
    spec = dict(base.get("spec", {}))
    if names:
        spec |= draw(st.dictionaries(st.sampled_from(names), VALUES, max_size=4))
    metadata = {**base["metadata"], "namespace": "default"}
    prefixed = TEXTS.map(lambda text: f"projectcalico.org/{text}")
    if draw(st.booleans()):
        keys = st.sampled_from(["projectcalico.org/IPv4Address", "projectcalico.org/IPv4IPIPTunnelAddr"]) | prefixed
        metadata["annotations"] = draw(st.dictionaries(keys, TEXTS, max_size=2))
    return {"kind": base["kind"], "metadata": metadata, "spec": spec}


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(records(), max_size=4))
def test_no_record_makes_fold_source_output_or_check_fail(found: list[dict[str, Any]]) -> None:
    asyncio.run(_live_through(found))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(odd_texts(), max_size=3))
def test_no_text_of_a_record_that_calico_wrote_and_someone_changed_does_either(texts: list[str]) -> None:
    records = []
    for text in texts:
        with contextlib.suppress(ValueError, RecursionError):
            records.append(json.loads(text))
    asyncio.run(_live_through(records))


async def _live_through(found: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        one = FakeNode(Path(folder), node(), pool(), affinity())
        async with one.running() as agent:
            there = []
            for record in found:
                try:
                    there.append(read(record))
                except Invalid as invalid:
                    kind = KINDS.get(str(record.get("kind"))) if isinstance(record, dict) else None
                    if kind is not None:
                        agent.watch.records.fold(Unreadable(kind, "odd", "default", str(invalid)))
            for resource in there:
                agent.watch.records.fold(Changed(resource))
            await _look(agent)
            assert not [notice for notice in agent.notices.all() if "it cannot be used" in notice.reason]
            for resource in there:
                agent.watch.records.fold(Gone(type(resource), resource.name, resource.namespace, resource))
            await _look(agent)


async def _look(agent: Agent) -> None:
    """Bring everything in line, check it, and make each page."""
    await bring_in_line(agent.outputs, Topic.EVERYTHING)
    checks = Checks(agent, frozenset, second_look_seconds=0)
    assert not [found for found in (await checks.run()).violated if "it cannot be checked" in found.text]

    async def sidecar_report() -> dict[str, Any]:
        return {}

    reporter = AgentReporter(agent, sidecar_report, checks)
    to_json(await reporter.status())
    reporter.counts()
    async for route in reporter.routes(None):
        to_json(route)
