"""What is said in Events: once, together, not too often, and that it is over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from datastore.kinds.event import LONGEST_MESSAGE
from felix_py.node.node_messages import (
    KEPT_SECONDS,
    MOST_A_MINUTE,
    REPEAT_SECONDS,
    DueEvent,
    Memory,
    Moment,
    messages,
    room,
)
from felix_py.status.problems import OF_SESSIONS, NodeProblem, Trouble

START = 1_800_000_000.0


def session(number: int = 2) -> NodeProblem:
    return NodeProblem(Trouble.SESSION, f"192.0.2.{number}", f"the BGP session with 192.0.2.{number} is not up")


HOST = NodeProblem(Trouble.PODS_FILTERED, "ufw drops", "ufw drops")


class Life:
    """One agent that says whatever is to be said, at times that a test sets."""

    def __init__(self, memory: Memory | None = None) -> None:
        self.memory = memory or Memory()
        self.seconds = 0.0

    def look(
        self, *problems: NodeProblem, after: float = 0.0, unknown: frozenset[Trouble] = frozenset(), uid: str = "u"
    ) -> list[DueEvent]:
        self.seconds += after
        now = Moment(START + self.seconds, self.seconds)
        self.memory = self.memory.seen(problems, unknown, uid, now)
        found = list(messages(self.memory, problems, unknown, uid, now))
        for message in found:
            self.memory = self.memory.after(message)
        return found

    def down(self, *problems: NodeProblem) -> list[DueEvent]:
        self.look(*problems)
        return self.look(*problems, after=60)


def reasons(found: list[DueEvent]) -> list[str]:
    return [f"{one.kind} {one.told.reason}" for one in found]


def test_what_puts_itself_right_soon_is_told_to_nobody() -> None:
    life = Life()
    assert life.look(session()) == life.look(session(), after=59) == life.look(after=5) == []
    assert life.look(session(), after=60) == [], "its time begins anew"


def test_a_problem_that_lasts_is_told_once_and_its_end_too() -> None:
    life = Life()
    assert reasons(life.down(session())) == ["Warning BGPSessionDown"]
    assert life.look(session(), after=600) == []
    [over] = life.look(after=10)
    assert reasons([over]) == ["Normal BGPSessionUp"]
    assert over.told.note == "over: the BGP session with 192.0.2.2 is not up"
    assert life.look(after=10) == []


def test_what_comes_again_is_the_same_event_counted_once_more() -> None:
    life = Life()
    [first] = life.down(session())
    life.look(after=10)
    [second] = life.down(session())
    assert (second.told.count, second.told.mark) == (2, first.told.mark)
    [over] = life.look(after=10)
    assert over.told.count == 2
    life.look(after=KEPT_SECONDS + 1)
    [third] = life.down(session())
    assert third.told.count == 1, "the API server has forgotten it by now"


def test_what_fails_together_is_told_together_and_is_over_with_the_last() -> None:
    life, many = Life(), [session(number) for number in range(2, 40)]
    [told] = life.down(*many)
    assert len(told.told.subjects) == 38 and len(told.told.note.encode()) <= LONGEST_MESSAGE
    assert "192.0.2.10 is not up" in told.told.note and "more, which `felixctl node status` shows" in told.told.note
    assert life.look(many[0], after=10) == []
    assert reasons(life.look(after=10)) == ["Normal BGPSessionUp"]


def test_one_more_of_a_sort_is_told_on_its_own() -> None:
    life = Life()
    life.down(session(2))
    [told] = life.down(session(2), session(3))
    assert told.told.subjects == ("192.0.2.3",)


def test_what_lasts_is_told_again_before_it_is_forgotten() -> None:
    life = Life()
    life.down(session())
    [again] = life.look(session(), after=REPEAT_SECONDS)
    assert (again.kind, again.told.count) == ("Warning", 2)


def test_a_notice_is_not_repeated() -> None:
    life, notice = Life(), NodeProblem(Trouble.NOTICE, "IPPool pods", "not obeyed")
    life.down(notice)
    assert life.look(notice, after=REPEAT_SECONDS + 1) == []


def test_what_is_not_known_is_not_over() -> None:
    life = Life()
    life.down(session())
    assert life.look(after=30, unknown=OF_SESSIONS) == []
    assert reasons(life.look(after=30)) == ["Normal BGPSessionUp"]


def test_a_time_in_which_it_is_not_known_counts_for_a_problem_that_is_there_again() -> None:
    life = Life()
    life.look(session())
    life.look(after=30, unknown=OF_SESSIONS)
    assert reasons(life.look(session(), after=30)) == ["Warning BGPSessionDown"]


def test_an_agent_that_starts_tells_nothing_twice_and_knows_what_is_over() -> None:
    life = Life()
    life.down(session(), HOST)
    after = Life(Memory(life.memory.told))
    assert after.down(session(), HOST) == []
    assert reasons(after.look(HOST, after=10)) == ["Normal BGPSessionUp"]


def test_a_node_that_was_made_anew_has_none_of_the_events_of_the_one_before() -> None:
    life = Life()
    [first] = life.down(session())
    [second] = life.look(session(), uid="another", after=1)
    assert second.told.count == 1 and second.told.mark != first.told.mark


def test_what_an_agent_of_another_version_noted_is_left_out() -> None:
    life = Life()
    [told] = life.down(session())
    strange = type(told.told)("Strange", ("a",), "a", "u", 1, START, lasts=True)
    after = Life(Memory({strange.key: strange}))
    assert after.look() == [] and not after.memory.told


def test_only_so_many_are_written_a_minute() -> None:
    written = [0.0, 10.0, 20.0, 30.0]
    assert room(written, Moment(START, 59)) == 0
    assert room(written, Moment(START, 61)) == 1
    assert room([], Moment(START, 0)) == MOST_A_MINUTE


@given(st.lists(st.text(min_size=1, max_size=700), min_size=1, max_size=30))
def test_no_event_is_longer_than_the_server_takes(texts: list[str]) -> None:
    many = [NodeProblem(Trouble.INVARIANT, str(number), text) for number, text in enumerate(texts)]
    life = Life()
    for message in (*life.look(*many), *life.look(after=1)):
        assert len(message.told.note.encode()) <= LONGEST_MESSAGE
