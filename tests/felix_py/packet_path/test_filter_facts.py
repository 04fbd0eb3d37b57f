"""Which packets a node's packet filters are asked about.

pod a (cali1) ── node ── eth0 ── b behind 192.0.2.2
"""

from __future__ import annotations

from collections.abc import Iterable

from felix_py.packet_path.filter_facts import (
    CalledSession,
    Way,
    device_towards,
    filtered_between,
    filtered_forwarding,
    filtered_in_pod,
    filtered_sessions,
    redirected_between,
)
from felix_py.status_model import DeviceFacts, Filtered, FilteredTraffic
from net.ip_route import IpHop, IpRoute
from net.packet_filter import Action, Chain, Condition, Field, Hook, PacketFilters, Rule
from net.prefix import Prefix, pack

A, B, OWN, PEER = "10.65.1.1", "10.65.2.1", "192.0.2.1", "192.0.2.2"
DEVICES = {
    "eth0": DeviceFacts("eth0", kind="veth", addresses=(OWN,)),
    "tunl0": DeviceFacts("tunl0", kind="ipip", addresses=("10.65.1.0",)),
}


def route(prefix: str, *devices: str, gateway: str = "", kind: str = "unicast") -> IpRoute:
    return IpRoute(Prefix.parse(prefix), kind, tuple(IpHop(device, gateway) for device in devices))


def chain(hook: Hook, *rules: Rule, drops: bool = True) -> Chain:
    return Chain("nft", "ip f", hook, rules, hook, drops=drops)


def way(*chains: Chain, there: IpRoute | None = None, back: IpRoute | None = None) -> Way:
    routes = {B: there or route("10.65.2.0/26", "eth0", gateway=PEER), A: back or route(f"{A}/32", "cali1")}
    return Way(PacketFilters(chains), routes, {A: "cali1"}, DEVICES)


def found(here: Way, source: str = A, destination: str = B, is_answer: bool = False) -> list[tuple[str, str]]:
    return shown(filtered_between(here, source, destination, is_answer=is_answer))


def shown(several: Iterable[Filtered]) -> list[tuple[str, str]]:
    return [(one.traffic.name, one.outcome.dropped.chain if one.outcome.dropped else "doubt") for one in several]


def test_packets_that_are_forwarded_pass_the_forward_chains_only() -> None:
    assert found(way(chain(Hook.FORWARD), chain(Hook.INPUT), chain(Hook.OUTPUT))) == [("ENDS", "forward")]
    assert found(way(chain(Hook.INPUT), chain(Hook.OUTPUT))) == []


def test_the_devices_are_those_of_the_two_routes() -> None:
    by = (
        Condition(Field.IN_DEVICE, ((b"cali1\0", b"cali1\0"),)),
        Condition(Field.OUT_DEVICE, ((b"eth0\0", b"eth0\0"),)),
    )
    here = way(chain(Hook.FORWARD, Rule(by, Action.DROP), drops=False))
    assert found(here) == [("ENDS", "forward")]
    assert found(here, B, A) == [], "the way back comes in by eth0"


def test_a_node_as_an_end_receives_or_sends() -> None:
    local = route(f"{B}/32", "lo", kind="local")
    assert found(way(chain(Hook.INPUT), chain(Hook.FORWARD), there=local)) == [("ENDS", "input")]
    assert found(way(chain(Hook.OUTPUT), chain(Hook.FORWARD), there=local), B, A) == [("ENDS", "output")]


def test_what_redirects_packets_is_asked_where_they_come_in_or_where_the_node_sends() -> None:
    def at(hook: Hook) -> Chain:
        return chain(hook, Rule((), Action.ACCEPT, "dnat"))

    both, local = (at(Hook.PREROUTING), at(Hook.OUTPUT)), route(f"{A}/32", "lo", kind="local")
    assert shown(redirected_between(way(*both), A, B)) == [("ENDS", "prerouting")]
    assert shown(redirected_between(way(*both, there=route(f"{B}/32", "lo", kind="local")), A, B)) == [
        ("ENDS", "prerouting")
    ]
    assert shown(redirected_between(way(*both, back=local), A, B)) == [("ENDS", "output")]
    assert shown(redirected_between(way(chain(Hook.PREROUTING)), A, B)) == []


def test_an_answer_belongs_to_a_connection() -> None:
    known = Condition(Field.STATE, ((bytes(4), bytes(4)),), inverted=True, mask=(2).to_bytes(4, "little"))
    here = way(chain(Hook.FORWARD, Rule((known,), Action.ACCEPT)))
    assert found(here, B, A, is_answer=True) == []
    assert found(here, B, A) == [("ENDS", "forward")]


def test_a_packet_without_a_route_is_not_asked_about() -> None:
    here = way(chain(Hook.FORWARD), there=route("10.65.2.0/26", kind="blackhole"))
    assert found(here) == []


def test_the_tunnels_own_packets_are_sent_by_the_node() -> None:
    tunnelled = route("10.65.2.0/26", "tunl0", gateway=PEER)
    ipip = Condition(Field.PROTOCOL, ((b"\4", b"\4"),))
    drops = Rule((ipip,), Action.DROP)
    assert found(way(chain(Hook.OUTPUT, drops, drops=False), there=tunnelled)) == [("TUNNEL", "output")]
    assert found(way(chain(Hook.INPUT, drops, drops=False), there=tunnelled), B, A) == [("TUNNEL", "input")]


def test_several_next_hops_leave_the_device_open() -> None:
    several = way(there=route("10.65.2.0/26", "eth0", "eth1", gateway=PEER))
    assert device_towards(several, B) is None
    assert device_towards(several, A) == "cali1"
    assert device_towards(way(there=route("10.65.2.0/26", "eth0", "eth0", gateway=PEER)), B) == "eth0"


def test_a_pods_own_filters_see_what_it_sends_and_what_it_gets() -> None:
    def in_pod(*chains: Chain, begins: bool = True) -> list[tuple[str, str]]:
        found = filtered_in_pod(PacketFilters(chains), (A, "eth0"), B, "eth0", begins=begins)
        return [(one.source, one.outcome.dropped.chain if one.outcome.dropped else "doubt") for one in found]

    assert in_pod(chain(Hook.INPUT), chain(Hook.OUTPUT), chain(Hook.FORWARD)) == [(A, "output"), (B, "input")]
    established = Condition(Field.STATE, ((bytes(4), bytes(4)),), inverted=True, mask=(2).to_bytes(4, "little"))
    answers_pass = Rule((established,), Action.ACCEPT)
    assert in_pod(chain(Hook.INPUT, answers_pass)) == []
    assert in_pod(chain(Hook.INPUT, answers_pass), begins=False) == [(B, "input")]


def port(looked_at: Field) -> Rule:
    return Rule((Condition(looked_at, ((b"\0\xb3", b"\0\xb3"),)),), Action.DROP)


def sessions(*chains: Chain, passive: bool = False, either: bool = False) -> list[Filtered]:
    session = CalledSession(pack(OWN), pack(PEER), passive, either=either)
    return list(filtered_sessions(PacketFilters(chains), [session]))


CALLS_IN = chain(Hook.INPUT, port(Field.DESTINATION_PORT), drops=False)
ANSWERS_IN = chain(Hook.INPUT, port(Field.SOURCE_PORT), drops=False)


def test_a_session_is_cut_off_where_the_call_or_its_answer_is_dropped() -> None:
    (cut_off,) = sessions(ANSWERS_IN)
    assert (cut_off.traffic, cut_off.source, cut_off.destination) == (FilteredTraffic.BGP, OWN, PEER)
    assert cut_off.outcome.dropped and cut_off.outcome.dropped.chain == "input"
    assert sessions(CALLS_IN, passive=True) and sessions(chain(Hook.OUTPUT), passive=True)
    assert sessions(CALLS_IN) == [] == sessions(ANSWERS_IN, passive=True), "the calls of the other side are not made"


def test_where_either_side_may_call_one_dropped_call_is_a_doubt() -> None:
    (doubt,) = sessions(CALLS_IN, either=True)
    assert doubt.outcome.dropped is None and len(doubt.outcome.doubts) == 1
    (cut_off,) = sessions(CALLS_IN, ANSWERS_IN, either=True)
    assert cut_off.outcome.dropped
    assert sessions(either=True) == []


def test_forwarding_is_asked_about_in_both_directions() -> None:
    drops = PacketFilters((chain(Hook.FORWARD),))
    found = list(filtered_forwarding(drops, (pack(A), "cali1"), (pack(B), None)))
    assert [(one.source, one.destination) for one in found] == [(A, B), (B, A)]
    assert list(filtered_forwarding(PacketFilters(), (pack(A), "cali1"), (pack(B), None))) == []
