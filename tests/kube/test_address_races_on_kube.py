"""Any order of steps, and any write carried out and not heard of, against a real API server.

The same processes as in tests/scenarios/test_address_races.py. Beside what happens to them there, the answer to one
request of a verb may be lost: a deletion is two writes here.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMHandle
from datastore.kube.store import KubeStore
from datastore.store import Store
from tests.kube.bed import Bed
from tests.kube.faulty_proxy import FaultyProxy, faulty_proxy
from tests.kube.half_heard import Witness, flagged_records
from tests.scenarios.test_address_races import ManyProcesses

ADDRESSES = (IPAMBlock, BlockAffinity, IPAMHandle)


class OnKube(ManyProcesses):
    """The same on the Kubernetes API, behind a proxy."""

    atomic = False
    bed: ClassVar[Bed]
    folder: ClassVar[Path]
    proxy: FaultyProxy

    def made_truth(self) -> Store:
        self.open = AsyncExitStack()
        self.run(self.bed.empty(ADDRESSES))
        self.proxy = self.run(self.open.enter_async_context(faulty_proxy(self.bed.access(), self.folder)))
        self._witness, store = Witness(self.bed.access), KubeStore(self.proxy.access)
        for each in (self._witness, store):
            self.open.push_async_callback(each.close)
        return store

    def witness(self) -> Store:
        return self._witness

    @rule(passed=st.integers(0, 2), carried_out=st.booleans())
    def a_write_will_not_be_answered(self, passed: int, carried_out: bool) -> None:
        faults = self.proxy.faults
        faults.pass_answers, faults.lose_answers, faults.lose_requests = passed, carried_out, not carried_out

    def all_comes_to_rest(self) -> None:
        self.proxy.faults.lose_answers = self.proxy.faults.lose_requests = 0
        super().all_comes_to_rest()
        assert self.run(flagged_records(self.bed)) == []

    def close(self) -> None:
        for process in self.processes.values():
            self.bury(process)
        self.run(self.open.aclose())
        self.loop.close()


class StrictOnKube(OnKube):
    """The same where no host may borrow."""

    strict = True


@pytest.mark.parametrize("machine", [OnKube, StrictOnKube])
@pytest.mark.parametrize("examples", [3, pytest.param(30, marks=pytest.mark.long)])
def test_no_address_is_given_twice_or_lost_whatever_is_heard_of(
    started_bed: Bed, tmp_path: Path, machine: type[OnKube], examples: int
) -> None:
    machine.bed, machine.folder = started_bed, tmp_path
    asyncio.run(furnished(machine, started_bed))
    few = settings(
        max_examples=examples, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(machine, settings=few)


async def furnished(machine: type[OnKube], bed: Bed) -> None:
    await bed.empty()
    store = bed.open()
    for resource in machine.furniture():
        await store.create(resource)
    await store.close()
