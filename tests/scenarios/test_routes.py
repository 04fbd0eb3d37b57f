"""Our routes in a real kernel: repaired when changed, and beside those of others, which are never changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from felix_py.status.status_json import from_json
from felix_py.status_model import RoutesPage
from tests.scenarios.cluster import Lab, lab_of, three_nodes, until


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Periodic dumps are off: whatever is repaired here is repaired from an event."""
    with lab_of(three_nodes(FELIX_ROUTEREFRESHINTERVAL="0"), tmp_path_factory.mktemp("routes")) as lab:
        yield lab


def first(lab: Lab, node: str, *words: str) -> str:
    """Return the first route of a node that the words select, as `ip` prints it."""
    return lab.routes(node, *words).splitlines()[0].strip()


@pytest.mark.parametrize(
    "kind",
    [("proto", "80", "type", "unicast"), ("proto", "80", "type", "blackhole"), ("proto", "81")],
    ids=["pod", "block", "learned"],
)
def test_a_deleted_route_of_ours_is_put_again(lab: Lab, kind: tuple[str, ...]) -> None:
    before = lab.routes("n1", *kind)
    assert before
    prefix = before.split()[1] if "blackhole" in before else before.split()[0]
    repairs = lab.page("n1", "status")["repairs"]
    lab.run("n1", "ip", "route", "del", prefix, "metric", "1030")
    until(lambda: lab.routes("n1", *kind) == before, f"{prefix} is back")
    assert lab.page("n1", "status")["repairs"] > repairs


def test_a_route_of_ours_that_is_replaced_is_repaired(lab: Lab) -> None:
    before = first(lab, "n1", "proto", "81")
    lab.run("n1", "ip", "route", "replace", before.split()[0], "dev", "lo", "metric", "1030")
    until(lambda: first(lab, "n1", "proto", "81") == before, "the learned route is as before")


def test_a_foreign_route_beside_ours_stays_and_is_reported(lab: Lab) -> None:
    prefix = first(lab, "n1", "proto", "81").split()[0]
    lab.run("n1", "ip", "route", "add", prefix, "dev", "lo", "proto", "static", "metric", "7")
    lab.run("n1", "ip", "route", "add", "203.0.113.0/24", "dev", "lo", "proto", "80")
    try:

        def notes() -> str:
            routes = from_json(RoutesPage, lab.page("n1", f"routes?prefix={prefix}")).routes
            return " ".join(str(route.note) for route in routes)

        until(lambda: "protocol 4 with metric 7 wins" in notes(), "the foreign route is reported")
        lab.ask("kill", node="n1", what="agent")
        until(lambda: lab.page("n1", "status").get("ready"), "the agent is back")
        assert "proto static" in lab.routes("n1", prefix, "metric", "7")
        assert "203.0.113.0/24" in lab.routes("n1", "203.0.113.0/24"), "a route with our number, but not our metric"
    finally:
        lab.run("n1", "ip", "route", "del", prefix, "metric", "7")
        lab.run("n1", "ip", "route", "del", "203.0.113.0/24", "proto", "80")


def test_a_pod_of_the_same_name_can_be_attached_again_at_once(lab: Lab) -> None:
    for _ in range(10):
        address = lab.ask("pod add", node="n2", pod="db-0")["addresses"][0]
        assert address in pods_of(lab, "n2")
        lab.ask("pod del", pod="db-0")
        assert address not in pods_of(lab, "n2")
    until(lab.settled, "the lab has settled")
    assert not lab.lost_pings()


def pods_of(lab: Lab, node: str) -> dict[str, str]:
    """Return the pods' routes of a node: the whole line by address."""
    lines = lab.routes(node, "proto", "80", "type", "unicast").splitlines()
    return {line.split()[0]: line for line in lines}
