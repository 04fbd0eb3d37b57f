"""Which parts of a status are told in Events, and under which subject."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datastore.notices import Notice
from felix_py.status.problems import NodeProblem, Trouble, problems, unknown
from felix_py.status_model import (
    AgentProgress,
    AgentStatus,
    BrokenInvariant,
    HostIssue,
    HostWarning,
    InvariantReport,
    SessionStatus,
    SidecarStatus,
    TunnelStatus,
)

PAGE = Path(__file__).parents[3] / "docs" / "events.md"
READY = AgentProgress(True, True, True)
SIDECAR = SidecarStatus(connected=True)
NOTICE = Notice("IPPool", "pods", "spec.vxlanMode", "VXLAN is not supported", "its routes are plain")


def status(progress: AgentProgress = READY, **more: Any) -> AgentStatus:
    return AgentStatus("n1", progress=progress, **{"sidecar": SIDECAR, **more})


def ready(**more: Any) -> AgentProgress:
    return AgentProgress(True, True, True, **more)


def only(found: AgentStatus) -> NodeProblem:
    [problem] = problems(found)
    return problem


def test_a_node_on_which_all_is_well_has_none() -> None:
    assert problems(status(peers=(SessionStatus("192.0.2.2", state="up"),))) == ()


@pytest.mark.parametrize(
    ("of", "trouble", "subject", "words"),
    [
        (status(ready(attach_refused="it lacks CAP_NET_ADMIN")), Trouble.POD_ATTACHMENT, "", "it lacks CAP_NET_ADMIN"),
        (status(ready(held_back="no cluster GUID")), Trouble.POD_ATTACHMENT, "", "no cluster GUID"),
        (status(ready(identity="n1 is another host's")), Trouble.IDENTITY, "", "n1 is another host's"),
        (status(ready(locked="datastoreReady false")), Trouble.LOCK, "", "datastoreReady false"),
        *(
            (status(ready(in_the_way=(HostWarning(issue, "it drops"),))), Trouble[issue.name], "it drops", "it drops")
            for issue in HostIssue
        ),
        (status(sidecar=SidecarStatus(problem="it hangs")), Trouble.SIDECAR, "", "does not answer: it hangs"),
        (status(refused_routes={"10.0.0.1/32": "ENODEV"}), Trouble.ROUTE, "10.0.0.1/32", "10.0.0.1/32: ENODEV"),
        (status(tunnels={"ipip": TunnelStatus("tunl0", problem="EPERM")}), Trouble.TUNNEL, "ipip", "tunl0: EPERM"),
        (status(notices=(NOTICE,)), Trouble.NOTICE, "IPPool pods spec.vxlanMode", "VXLAN is not supported"),
        (
            status(invariants=InvariantReport(8, (BrokenInvariant(1, "two owners"),))),
            Trouble.INVARIANT,
            "1",
            "invariant 1 is violated: two owners",
        ),
    ],
)
def test_each_part_of_a_status_has_its_sort(of: AgentStatus, trouble: Trouble, subject: str, words: str) -> None:
    problem = only(of)
    assert (problem.trouble, problem.subject) == (trouble, subject)
    assert words in problem.text


def test_a_session_is_the_same_problem_whatever_it_fails_of() -> None:
    first = only(status(peers=(SessionStatus("192.0.2.2", state="start", info="Connect"),)))
    second = only(status(peers=(SessionStatus("192.0.2.2", state="start", last_error="connection refused"),)))
    assert (first.trouble, first.subject) == (second.trouble, second.subject) == (Trouble.SESSION, "192.0.2.2")
    assert "connection refused" in second.text


def test_a_session_that_is_held_back_is_not_told_as_down() -> None:
    held = SessionStatus("192.0.2.9", state="held back", info="its filter is not supported")
    assert only(status(peers=(held,))).trouble is Trouble.HELD_BACK


def test_a_session_with_a_node_that_kubernetes_says_is_away_is_no_problem_of_this_one() -> None:
    down = status(peers=(SessionStatus("192.0.2.2", state="start"), SessionStatus("192.0.2.3", state="start")))
    assert [one.subject for one in problems(down, {"192.0.2.2"})] == ["192.0.2.3"]


def test_without_the_sidecar_nobody_knows_of_sessions() -> None:
    assert unknown(status(sidecar=SidecarStatus())) == {Trouble.SESSION, Trouble.HELD_BACK}
    assert unknown(status()) == frozenset()


def test_no_two_sorts_have_a_reason_in_common_and_each_is_one_word() -> None:
    reasons = [reason for trouble in Trouble for reason in (trouble.reason, trouble.over)]
    assert len(set(reasons)) == len(reasons) and all(reason.isalnum() for reason in reasons)


def test_the_page_of_events_has_each_sort_with_its_time() -> None:
    lines = [line.split("|") for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    found = [(row[1].strip(" `"), row[2].strip(), row[-2].strip(" `")) for row in lines]
    assert found == [(one.reason, f"{one.least_seconds:.0f} s", one.over) for one in Trouble]
