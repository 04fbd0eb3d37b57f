"""Who leads: each rule for itself, and then all of them against late, lost and repeated messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from controller.election import Candidate, Terms
from datastore.kinds.lease import Lease

TERMS = Terms(duration_seconds=15, deadline_seconds=10.0, retry_seconds=2.0)
FRESH = Candidate("felix-py-controller", "kube-system", "a", TERMS)


def held_by(holder: str, revision: str = "1", duration: int = 15) -> Lease:
    lease = Lease.make("felix-py-controller", "kube-system", holder=holder, duration_seconds=duration)
    return lease.with_metadata(resource_version=revision)


def test_who_has_not_looked_writes_nothing() -> None:
    assert FRESH.write(1000, 0) is None


def test_a_lease_that_is_not_there_is_made_as_nobodys_and_taken_once_who_may_have_had_it_has_ended() -> None:
    candidate = FRESH.saw(None, 100)
    made = candidate.write(100, 0)
    assert made is not None
    assert (made.revision, made.spec.holder, made.spec.duration_seconds) == (None, "", 15)
    candidate = candidate.wrote(made.with_metadata(resource_version="1"), 100, 101)
    assert not candidate.leads(101)
    assert candidate.write(115.9, 0) is None
    taken = candidate.write(116, 1_767_366_245_000_006_000)
    assert taken is not None
    assert (taken.revision, taken.spec.holder, taken.spec.transitions) == ("1", "a", 1)
    assert taken.spec.renew_time == taken.spec.acquire_time == "2026-01-02T15:04:05.000006Z"


def test_anothers_lease_is_taken_once_it_has_not_changed_for_its_duration() -> None:
    candidate = FRESH.saw(held_by("b"), 100).saw(held_by("b"), 110)
    assert candidate.write(114.9, 0) is None
    taken = candidate.write(115, 0)
    assert taken is not None
    assert (taken.revision, taken.spec.holder, taken.spec.transitions) == ("1", "a", 1)


def test_a_renewal_begins_the_waiting_anew() -> None:
    candidate = FRESH.saw(held_by("b"), 100).saw(held_by("b", "2"), 110)
    assert candidate.write(124.9, 0) is None
    assert candidate.write(125, 0) is not None


def test_a_holder_with_a_longer_duration_is_waited_for() -> None:
    assert FRESH.saw(held_by("b", duration=60), 100).write(159, 0) is None


def test_a_holders_duration_that_somebody_made_shorter_is_not_believed() -> None:
    assert FRESH.saw(held_by("b", duration=1), 100).write(114, 0) is None


def test_a_lease_that_was_given_back_is_taken_a_second_later() -> None:
    leader = FRESH.wrote(held_by("a"), 100, 100)
    given = leader.given_back(0)
    assert given is not None
    other = replace(FRESH, identity="b").saw(given, 101)
    assert other.write(101.5, 0) is None
    assert other.write(102, 0) is not None
    assert replace(FRESH, identity="b").saw(held_by("a"), 101).given_back(0) is None


def test_a_holder_acts_for_less_than_the_duration_counted_from_its_request() -> None:
    leader = FRESH.wrote(held_by("a"), 100, 104)
    assert leader.leads(109.9)
    assert not leader.leads(110)


def test_whoever_sees_another_in_its_place_acts_no_more() -> None:
    leader = FRESH.wrote(held_by("a"), 100, 100)
    assert not leader.saw(held_by("b", "2"), 101).leads(101)
    assert not leader.saw(None, 101).leads(101)


def test_to_read_the_own_name_gives_no_time_to_act() -> None:
    candidate = FRESH.saw(held_by("a"), 100)  # by a write whose answer was lost
    assert not candidate.leads(100)
    renewed = candidate.write(100, 0)
    assert renewed is not None
    assert candidate.wrote(renewed, 100, 100).leads(101)


def test_a_renewal_leaves_alone_what_others_wrote_on_the_lease() -> None:
    noted = held_by("a").with_metadata(annotations={"who": "an administrator"}, resource_version="7")
    renewed = FRESH.saw(noted, 100).write(100, 0)
    assert renewed is not None
    assert (renewed.annotations, renewed.revision) == ({"who": "an administrator"}, "7")


def test_a_slow_clock_and_a_quick_one_leave_time_between_two_leaders() -> None:
    """Clocks may differ in pace by a fifth, up and down, and by any beginning."""
    taken_at = 100.0
    leader = FRESH.wrote(held_by("a"), 0.8 * taken_at, 0.8 * taken_at)
    other = replace(FRESH, identity="b").saw(held_by("a"), 5000 + 1.2 * taken_at)
    ends = next(moment for moment in range(100, 200) if not leader.leads(0.8 * moment))
    begins = next(moment for moment in range(100, 200) if other.write(5000 + 1.2 * moment, 0))
    assert ends <= begins


@dataclass
class Process:
    """A candidate, its clock, and the message that it waits for."""

    candidate: Candidate
    offset: float
    pace: float
    seen: tuple[Lease | None] | None = None
    asked_at: float = 0.0
    asked: Lease | None = None
    stored: Lease | None = None
    late: list[Lease] = field(default_factory=list)
    """Requests that it waits for no more; the server may still carry them out."""


PROCESSES = st.integers(0, 2)
_NUMBERS = count()


class Election(RuleBasedStateMachine):
    """Three processes whose clocks differ in beginning and pace, and one server that compares and swaps."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0
        self.lease: Lease | None = None
        self.revisions = count(1)
        self.processes = [
            Process(self._candidate(), offset, pace) for offset, pace in ((5000, 1.0), (-77.0, 0.9), (0.0, 1.1))
        ]

    @staticmethod
    def _candidate() -> Candidate:
        return replace(FRESH, identity=f"p{next(_NUMBERS)}")

    def _now(self, process: Process) -> float:
        return process.offset + process.pace * self.time

    def _store(self, lease: Lease) -> Lease | None:
        """Carry out a write; None: it lost a race."""
        held = self.lease.revision if self.lease else None
        if lease.revision != held:
            return None
        self.lease = lease.with_metadata(resource_version=str(next(self.revisions)))
        return self.lease

    @initialize(number=PROCESSES, anybody=st.booleans())
    def one_was_elected(self, number: int, anybody: bool) -> None:
        if anybody:
            self.a_process_looks_and_writes_without_delay(number)
            self.time += 17
            self.a_process_looks_and_writes_without_delay(number)
            assert self.processes[number].candidate.leads(self._now(self.processes[number]))

    @rule(seconds=st.one_of(st.floats(0, 3), st.sampled_from([10.0, 13.6, 14.9, 15.0, 17.0, 40.0])))
    def time_passes(self, seconds: float) -> None:
        self.time += seconds

    @rule(number=PROCESSES)
    def a_process_looks_and_writes_without_delay(self, number: int) -> None:
        self.the_server_answers_a_look(number)
        self.the_answer_to_a_look_arrives(number)
        self.a_process_asks_for_a_write(number)
        self.the_server_carries_a_write_out(number)
        self.the_answer_to_a_write_arrives(number)

    @rule(number=PROCESSES)
    def the_server_answers_a_look(self, number: int) -> None:
        process = self.processes[number]
        if process.seen is None and process.asked is None:
            process.seen = (self.lease,)

    @rule(number=PROCESSES)
    def the_answer_to_a_look_arrives(self, number: int) -> None:
        process = self.processes[number]
        if process.seen:
            process.candidate = process.candidate.saw(process.seen[0], self._now(process))
            process.seen = None

    @rule(number=PROCESSES)
    def a_process_asks_for_a_write(self, number: int) -> None:
        process = self.processes[number]
        if process.asked is None and process.seen is None:
            now = self._now(process)
            process.asked, process.asked_at = process.candidate.write(now, 0), now

    @rule(number=PROCESSES)
    def the_server_carries_a_write_out(self, number: int) -> None:
        process = self.processes[number]
        if process.asked is not None and process.stored is None:
            process.stored = self._store(process.asked)

    @rule(number=PROCESSES)
    def the_answer_to_a_write_arrives(self, number: int) -> None:
        process = self.processes[number]
        if process.stored is not None:
            process.candidate = process.candidate.wrote(process.stored, process.asked_at, self._now(process))
            process.asked = process.stored = None

    @rule(number=PROCESSES)
    def a_process_waits_no_longer(self, number: int) -> None:
        process = self.processes[number]
        if process.asked is not None:
            if process.stored is None:
                process.late.append(process.asked)
            process.asked = process.stored = None
        process.seen = None

    @rule(number=PROCESSES)
    def the_server_carries_out_what_nobody_waits_for(self, number: int) -> None:
        if late := self.processes[number].late:
            self._store(late.pop())

    @rule(number=PROCESSES, gives_back=st.booleans())
    def a_process_ends_and_another_begins(self, number: int, gives_back: bool) -> None:
        process = self.processes[number]
        if gives_back and (given := process.candidate.given_back(0)) is not None:
            self._store(given)
        process.candidate = self._candidate()
        process.seen = process.asked = process.stored = None

    @precondition(lambda self: self.lease is not None)
    @rule()
    def somebody_deletes_the_lease(self) -> None:
        self.lease = None

    @precondition(lambda self: self.lease is not None)
    @rule()
    def somebody_labels_the_lease(self) -> None:
        assert self.lease
        self.lease = self.lease.with_metadata(resource_version=str(next(self.revisions)))

    @invariant()
    def no_two_lead(self) -> None:
        leading = [one.candidate.identity for one in self.processes if one.candidate.leads(self._now(one))]
        assert len(leading) <= 1, leading


Election.TestCase.settings = settings(
    max_examples=60, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestElection = Election.TestCase
