"""Steps and a verdict as they are printed."""

from __future__ import annotations

from explain.step import Command, Step, StepState, Verdict
from felixctl.explanation import explained, step_record

FOUND = Step("there", "n1", "route", StepState.OK, "10.65.2.0/26 via 192.0.2.2")
BROKEN = Step(
    "there",
    "node-2",
    "forwarding",
    StepState.BROKEN,
    "the node does not forward\x1b[2J",
    "it drops whatever is not for itself",
    Command("node-2", "sysctl net.ipv4.ip_forward"),
    Command("node-2", "sysctl -w net.ipv4.ip_forward=1"),
)


def on(command: Command) -> str:
    return f"{command.place}$ {command.line}"


def test_steps_stand_below_their_title_and_what_to_do_about_the_first_broken_one_last() -> None:
    titles = {"records": "in the datastore", "there": "there, a to b"}
    printed = "".join(explained(titles, (FOUND, BROKEN), Verdict(False, "node-2: it drops", BROKEN), on))
    assert printed == (
        "there, a to b\n"
        "  ✓ n1      10.65.2.0/26 via 192.0.2.2\n"
        "  ✗ node-2  the node does not forward\\x1b[2J\n"
        "\n✗ node-2: it drops\n"
        "  see it:    node-2$ sysctl net.ipv4.ip_forward\n"
        "  repair it: node-2$ sysctl -w net.ipv4.ip_forward=1\n"
    )


def test_a_verdict_in_doubt_is_not_marked_as_well_and_says_what_to_look_at() -> None:
    doubt = Step("there", "n1", "route", StepState.DOUBTFUL, "by a router", inspect=Command("n1", "ip route"))
    printed = "".join(explained({"there": "there"}, (doubt,), Verdict(True, "in doubt: n1", doubt=doubt), on))
    assert printed == "there\n  ! n1  by a router\n\n! in doubt: n1\n  see it:    n1$ ip route\n"


def test_a_step_for_programs_has_its_commands_as_they_are_typed() -> None:
    record = step_record(BROKEN, on)
    assert (record["where"], record["state"]) == ("node-2", "broken")
    assert (record["inspect"], record["repair"]) == (
        "node-2$ sysctl net.ipv4.ip_forward",
        "node-2$ sysctl -w net.ipv4.ip_forward=1",
    )
    assert step_record(FOUND, on)["repair"] is None
