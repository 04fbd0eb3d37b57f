"""The first broken step, found in pictures of two nodes that are whole but for one thing.

a ── n1 (192.0.2.1) ──── n2 (192.0.2.2) ── b
10.65.1.1                              10.65.2.1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from explain.facts import (
    Block,
    Device,
    Endpoint,
    Given,
    Inside,
    Picture,
    Pool,
    Records,
    Session,
    View,
    Wanted,
    Way,
    view_of,
)
from explain.why import State, Step, Unclear, Verdict, ends_of, explain, verdict
from felix_py.status_model import DeviceFacts, KernelFacts, NodeTrace, SessionStatus
from net.prefix import Prefix

A, B = "10.65.1.1", "10.65.2.1"
ON = {4: True, 6: True}
DEFAULT = Way("unicast", "0.0.0.0/0", "0.0.0.0/0 via 192.0.2.254 dev eth0", device="eth0", gateway="192.0.2.254")


def block(number: int, given: dict[str, Given]) -> Block:
    return Block(Prefix.parse(f"10.65.{number}.0/26"), f"n{number}", True, given)


RECORDS = Records(
    (Endpoint("default", "a", "n1", "cali1", (A,)), Endpoint("default", "b", "n2", "cali2", (B,))),
    (
        block(1, {A: Given("h1", "default/a")}),
        block(2, {B: Given("h2", "default/b"), "10.65.2.7": Given("h3", "default/gone")}),
    ),
    (Pool("pods", Prefix.parse("10.65.0.0/16")),),
    {"n1": ("192.0.2.1",), "n2": ("192.0.2.2",)},
)


def node(own: int, other: int) -> View:
    here, there = f"10.65.{own}.1", f"10.65.{other}.1"
    local = Wanted(f"{here}/32", "pods", f"{here}/32 dev cali{own} proto 80", True, True)
    hole = Wanted(f"10.65.{own}.0/26", "blocks", f"blackhole 10.65.{own}.0/26 proto 80", True, True)
    on = f"10.65.{other}.0/26 via 192.0.2.{other} dev eth0 proto 81"
    devices = [
        Device("eth0", True, True, 1500, "veth", (f"192.0.2.{own}",), ON),
        Device(f"cali{own}", True, True, 1500, "veth", (), ON),
    ]
    gate = Way("unicast", "0.0.0.0/0", "default via 169.254.1.1 dev eth0", device="eth0", gateway="169.254.1.1")
    return View(
        f"n{own}",
        devices={device.name: device for device in devices},
        ways={
            here: Way("unicast", f"{here}/32", local.words, 80, f"cali{own}"),
            there: Way("unicast", f"10.65.{other}.0/26", on, 81, "eth0", f"192.0.2.{other}"),
        },
        wanted={here: (local, hole), there: (Wanted(f"10.65.{other}.0/26", "learned", on, True, True),)},
        pods={here: Inside(Device("eth0", True, True, 1500), gate)},
        sessions=(Session(f"192.0.2.{other}", "up", "Established", 1795381700.0, as_number=64512),),
        announced=(f"10.65.{own}.0/26",),
        as_number=64512,
    )


@dataclass
class World:
    """A picture to break."""

    n1: View = field(default_factory=lambda: node(1, 2))
    n2: View = field(default_factory=lambda: node(2, 1))
    records: Records = RECORDS
    unseen: tuple[str, ...] = ()

    def device(self, name: str, **changes: Any) -> World:
        """Change a device of n2."""
        devices = {**self.n2.devices, name: replace(self.n2.devices[name], **changes)}
        return replace(self, n2=replace(self.n2, devices=devices))

    def of_n1(self, way: Way | None, wanted: Sequence[Wanted], **more: Any) -> World:
        """Change what n1 does with packets for b."""
        ways, rows = {**self.n1.ways, B: way}, {**self.n1.wanted, B: wanted}
        return replace(self, n1=replace(self.n1, ways=ways, wanted=rows, **more))

    def told(self, one: str = "a", other: str = "b") -> tuple[tuple[Step, ...], Verdict]:
        ends = ends_of(self.records, one, other)
        views = {name: view for name, view in (("n1", self.n1), ("n2", self.n2)) if name not in self.unseen}
        picture = Picture(self.records, views, dict.fromkeys(self.unseen, "its agent does not answer"))
        steps = explain(picture, *ends)
        return steps, verdict(*ends, steps)

    def first(self, one: str = "a", other: str = "b") -> tuple[str, str, str]:
        _, judged = self.told(one, other)
        assert judged.first is not None, judged.sentence
        return judged.first.where, judged.first.about, judged.first.says


def states(steps: Sequence[Step]) -> set[State]:
    return {step.state for step in steps}


def test_nothing_is_broken_in_a_whole_picture_and_both_directions_are_walked() -> None:
    steps, judged = World().told()
    assert states(steps) == {State.OK}
    assert judged == Verdict(True, "nothing between default/a and default/b is broken, in either direction")
    walked = [(step.where, step.about) for step in steps if step.direction == "there"]
    assert walked == [
        ("default/a", "route"),
        ("n1", "forwarding"),
        ("n1", "route"),
        ("n1", "session"),
        ("n1", "link"),
        ("n2", "forwarding"),
        ("n2", "route"),
        ("default/b", "pod"),
    ]
    assert sum(step.direction == "back" for step in steps) == len(walked)


def test_a_link_without_carrier() -> None:
    where, about, says = World().device("eth0", carrier=False).first()
    assert (where, about) == ("n2", "link")
    assert "no carrier" in says


def test_a_device_that_is_down_counts_before_the_blackhole_behind_it() -> None:
    world = World().device("cali2", up=False, carrier=False)
    hole = Way("blackhole", "10.65.2.0/26", "blackhole 10.65.2.0/26 proto 80", 80)
    rows = (replace(world.n2.wanted[B][0], best=False, note="its device is not there or down"), world.n2.wanted[B][1])
    world.n2 = replace(world.n2, ways={**world.n2.ways, B: hole}, wanted={**world.n2.wanted, B: rows})
    assert world.first() == ("n2", "device", "device cali2 is down")


def test_a_node_that_does_not_forward_names_the_switch_and_the_command_that_turns_it_on() -> None:
    _, judged = World().device("eth0", forwarding={4: False}).told()
    assert judged.first and (judged.first.where, judged.first.about) == ("n2", "forwarding")
    assert judged.first.repairs and judged.first.repairs.words == "sysctl -w net.ipv4.ip_forward=1"
    assert "it drops whatever is not for itself" in judged.sentence


def test_a_deleted_route_is_missed_where_a_shorter_one_carries_the_packet() -> None:
    learned = World().n1.wanted[B]
    where, about, says = World().of_n1(DEFAULT, learned, repair=False).first()
    assert (where, about) == ("n1", "route")
    assert "learned wants 10.65.2.0/26 via 192.0.2.2" in says
    assert "it was deleted, and repair is off" in says


def test_a_route_that_the_kernel_refused_is_told_with_its_note() -> None:
    learned = replace(World().n1.wanted[B][0], in_fib=False, note="the kernel refused it: no buffer (ENOBUFS)")
    assert World().of_n1(None, (learned,)).first()[2].endswith("the kernel refused it: no buffer (ENOBUFS)")


def test_a_next_hop_that_is_not_reachable() -> None:
    lost = replace(World().n1.wanted[B][0], best=False, in_fib=False, note="next hop 192.0.2.2 is not reachable")
    assert "next hop 192.0.2.2 is not reachable" in World().of_n1(None, (lost,)).first()[2]


@pytest.mark.parametrize(
    ("session", "cause"),
    [
        ((), "no BGP session with n2 is configured"),
        ((Session("192.0.2.2", "start", "Active: connection refused", as_number=64512),), "connection refused"),
        (
            (Session("192.0.2.2", "start", "NOTIFICATION 2/2", as_number=64999),),
            "wrong AS, n2 is AS 64512 and AS 64999 is configured for it",
        ),
    ],
    ids=["none", "down", "wrong AS"],
)
def test_a_session_that_teaches_nothing(session: tuple[Session, ...], cause: str) -> None:
    where, about, says = World().of_n1(DEFAULT, (), sessions=session).first()
    assert (where, about) == ("n1", "session")
    assert cause in says


def test_a_session_that_is_away_while_its_routes_are_kept_is_a_doubt_and_no_break() -> None:
    world = World()
    gone = replace(world.n1.sessions[0], state="start", stale=1)
    steps, judged = replace(world, n1=replace(world.n1, sessions=(gone,))).told()
    assert judged.reachable
    assert [step.about for step in steps if step.state is State.DOUBTFUL] == ["session"]


def test_a_mesh_that_is_off_and_a_sidecar_that_is_away_are_named() -> None:
    world = World().of_n1(DEFAULT, (), sessions=())
    assert "the mesh is off" in replace(world, records=replace(RECORDS, mesh=False)).first()[2]
    assert "sidecar is away" in World().of_n1(DEFAULT, (), sessions=(), sidecar_problem="no such socket").first()[2]


def test_a_pool_that_is_not_exported_is_why_nothing_was_learned() -> None:
    pool = replace(RECORDS.pools[0], exported=False)
    world = replace(World(), records=replace(RECORDS, pools=(pool,))).of_n1(DEFAULT, ())
    where, about, says = world.first()
    assert (where, about) == ("n2", "announcement")
    assert "pool pods has disableBGPExport" in says


def test_a_blackhole_is_hit_by_a_packet_for_an_address_that_nobody_has() -> None:
    world, free = World(), "10.65.2.9"
    hole = Way("blackhole", "10.65.2.0/26", "blackhole 10.65.2.0/26 proto 80", 80)
    world.n1 = replace(world.n1, ways={**world.n1.ways, free: world.n1.ways[B]}, wanted={free: world.n1.wanted[B]})
    world.n2 = replace(world.n2, ways={**world.n2.ways, free: hole}, wanted={free: world.n2.wanted[B][1:]})
    steps, judged = world.told(other=free)
    assert judged.first and (judged.first.where, judged.first.about) == ("n2", "blackhole")
    assert judged.first.says == "the packet hits blackhole 10.65.2.0/26: no pod of n2 has 10.65.2.9"
    assert all(step.direction != "back" for step in steps), "nobody is there to answer"


def test_a_leaked_address_is_told_with_its_handle_before_the_blackhole() -> None:
    where, about, says = World().first(other="10.65.2.7")
    assert (where, about) == ("10.65.2.7", "address")
    assert "leaked: it is assigned to pod default/gone (handle h3)" in says


def test_an_end_of_a_link_that_takes_less_than_the_other_sends_breaks_large_packets_only() -> None:
    steps, judged = World().device("eth0", mtu=1300).told()
    assert judged.first and judged.first.partly
    assert judged.first.says == "MTU too small: eth0 of n2 takes 1300 bytes, and eth0 of n1 sends up to 1500"
    back = [step.about for step in steps if step.direction == "back" and step.state is State.DOUBTFUL]
    assert back == ["mtu"], "on the way back n2 itself tells the sender"


def test_what_stops_all_packets_counts_before_what_stops_some() -> None:
    world = World().device("eth0", mtu=1300).device("cali2", forwarding={4: False})
    assert world.first()[:2] == ("n2", "forwarding")


def test_a_tunnel_needs_room_for_its_header() -> None:
    tunnel = Device("tunl0", True, True, 1490, "ipip", (), ON)
    world = World()
    way = world.n1.ways[B]
    assert way
    world = world.of_n1(replace(way, device="tunl0"), world.n1.wanted[B])
    world.n1 = replace(world.n1, devices={**world.n1.devices, "tunl0": tunnel})
    world.n2 = replace(world.n2, devices={**world.n2.devices, "tunl0": tunnel})
    steps, judged = world.told()
    assert judged.first and "takes 1500 bytes, and tunl0 of n1 sends up to 1510" in judged.first.says
    assert any("encapsulated (ipip)" in step.says for step in steps)
    assert any("by tunl0 and forwards" in step.says for step in steps if step.where == "n2")


def test_a_disabled_pool_is_a_doubt_for_who_has_an_address_and_a_break_for_who_has_none() -> None:
    records = replace(RECORDS, pools=(replace(RECORDS.pools[0], disabled=True),))
    world = World(records=records)
    steps, judged = world.told()
    assert judged.reachable
    assert {step.about for step in steps if step.state is State.DOUBTFUL} == {"pool"}
    where, about, says = world.first(other="new")
    assert (where, about) == ("new", "pool")
    assert "every pool is disabled (pods)" in says


def test_routes_that_lead_in_circles_end() -> None:
    world = World()
    back = Way("unicast", "10.65.2.0/26", "10.65.2.0/26 via 192.0.2.1 dev eth0", 4, "eth0", "192.0.2.1")
    row = replace(world.n1.wanted[B][0], words=back.words)
    world.n2 = replace(world.n2, ways={**world.n2.ways, B: back}, wanted={B: (row,)})
    world.n1 = replace(world.n1, ways={**world.n1.ways})
    assert world.first()[0] == "n2"


def test_nodes_out_of_sight_are_said_to_be_so() -> None:
    steps, judged = World(unseen=("n2",)).told()
    assert judged.reachable
    assert judged.sentence.endswith("is broken; out of sight: n2")
    assert any(step.says == "its agent does not answer" for step in steps)


def test_an_address_outside_is_followed_to_where_it_leaves() -> None:
    world = World()
    world.n1 = replace(world.n1, ways={**world.n1.ways, "198.51.100.1": DEFAULT})
    steps, judged = world.told(other="198.51.100.1")
    assert judged.reachable
    assert any(step.where == "beyond 192.0.2.254" for step in steps)


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("a", "a", "both are the same"),
        ("a", "10.65.2.999", "not an IP address"),
        ("a", "2001:db8::1", "no address family in common"),
        ("twin", "a", "say blue/twin or red/twin"),
    ],
)
def test_questions_that_make_no_sense(one: str, other: str, words: str) -> None:
    twins = tuple(Endpoint(space, "twin", "n1", "cali9", ("10.65.1.9",)) for space in ("red", "blue"))
    records = replace(RECORDS, endpoints=(*RECORDS.endpoints, *twins))
    with pytest.raises(Unclear, match=words):
        ends_of(records, one, other)


def test_an_agents_trace_becomes_a_view() -> None:
    trace = NodeTrace(
        "n1",
        KernelFacts({A: None}, (DeviceFacts("eth0", addresses=("192.0.2.1",), forwarding={"4": True}),)),
        peers=(SessionStatus("192.0.2.2", state="up", since=1.0, refused={"loop": 2}, as_number=64513),),
        repair=False,
        as_number=64512,
    )
    view = view_of(trace)
    assert (view.node, view.repair, view.as_number) == ("n1", False, 64512)
    assert view.device_with("192.0.2.1") == view.devices["eth0"]
    assert view.sessions == (Session("192.0.2.2", "up", "", 1.0, refused=2, as_number=64513),)
