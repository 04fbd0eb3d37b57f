"""What becomes of packets in chains of rules."""

from __future__ import annotations

import pytest

from net.packet_filter import (
    FORWARDED,
    TCP,
    Action,
    Chain,
    Condition,
    Field,
    FilterHit,
    FilterOutcome,
    Hook,
    Packet,
    PacketFilters,
    Rule,
    device_name,
    state_bits,
)
from net.prefix import pack

A, B = pack("10.65.1.1"), pack("10.65.2.1")
PACKET = Packet(A, B, "cali1", "eth0")
UNREAD = Condition(None, name="-m set")


def equal(looked_at: Field, value: bytes, inverted: bool = False) -> Condition:
    return Condition(looked_at, ((value, value),), inverted)


def source(network: bytes, mask: bytes) -> Condition:
    return Condition(Field.SOURCE, ((network, network),), mask=mask)


def forward(*rules: Rule, drops: bool = False, priority: int = 0, table: str = "ip f") -> Chain:
    return Chain("nft", table, "forward", rules, Hook.FORWARD, priority, drops, (4,))


def outcome(*chains: Chain, packet: Packet = PACKET) -> FilterOutcome:
    return PacketFilters(chains).outcome(FORWARDED, packet)


def hit(*chains: Chain, packet: Packet = PACKET) -> str:
    return str(outcome(*chains, packet=packet).dropped or "")


DROP, ACCEPT = Rule((), Action.DROP), Rule((), Action.ACCEPT)
TO_PORT_80 = (equal(Field.PROTOCOL, bytes([TCP])), equal(Field.DESTINATION_PORT, (80).to_bytes(2, "big")))
ANSWERS = Condition(Field.STATE, ((bytes(4), bytes(4)),), inverted=True, mask=state_bits(2 | 4))


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (equal(Field.SOURCE, A), True),
        (equal(Field.SOURCE, A, inverted=True), False),
        (equal(Field.DESTINATION, pack("10.0.0.0")[:1]), True),
        (source(pack("10.65.0.0"), pack("255.255.0.0")), True),
        (source(pack("10.66.0.0"), pack("255.255.0.0")), False),
        (Condition(Field.SOURCE, ((pack("10.65.1.0"), pack("10.65.1.9")),)), True),
        (Condition(Field.SOURCE, ()), False),
        (equal(Field.IN_DEVICE, b"cali"), True),
        (equal(Field.IN_DEVICE, device_name("cali") or b""), False),
        (equal(Field.OUT_DEVICE, device_name("eth0") or b""), True),
        (equal(Field.FAMILY, bytes([2])), True),
        (equal(Field.MARK, bytes.fromhex("00400000")), False),
        (ANSWERS, False),
        (equal(Field.PROTOCOL, bytes([TCP])), None),
        (UNREAD, None),
    ],
)
def test_a_condition_holds_or_does_not_or_for_some_packets(condition: Condition, holds: bool | None) -> None:
    assert condition.holds(PACKET) is holds


def test_a_packet_without_an_incoming_device_has_no_name_to_compare() -> None:
    own = Packet(A, B, "", None)
    assert equal(Field.IN_DEVICE, device_name("eth0") or b"", inverted=True).holds(own) is False
    assert equal(Field.OUT_DEVICE, device_name("eth0") or b"").holds(own) is None


def test_a_policy_drops_what_no_rule_decides() -> None:
    assert hit(forward(drops=True)) == "nft table ip f, chain forward, policy drop"
    assert hit(forward(ACCEPT, drops=True)) == ""
    assert hit(forward()) == ""


def test_an_accepting_chain_does_not_keep_the_next_one_from_dropping() -> None:
    assert hit(forward(ACCEPT), forward(DROP, priority=5, table="ip g")).startswith("nft table ip g")


def test_the_chain_with_the_lower_priority_is_named_first() -> None:
    late, early = forward(DROP, priority=9, table="ip late"), forward(DROP, priority=-9, table="ip early")
    assert "ip early" in hit(late, early)


def test_chains_of_the_other_family_and_of_other_hooks_are_not_asked() -> None:
    six = Chain("nft", "ip6 f", "forward", (DROP,), Hook.FORWARD, versions=(6,))
    received = Chain("nft", "ip f", "input", (DROP,), Hook.INPUT)
    assert outcome(six, received) == FilterOutcome()


def of_device(hook: Hook, *devices: str, rules: tuple[Rule, ...] = (DROP,)) -> Chain:
    return Chain("nft", "netdev f", hook, rules, hook, devices=devices)


@pytest.mark.parametrize(
    ("hook", "devices", "drops"),
    [
        (Hook.INGRESS, ("cali1",), True),
        (Hook.INGRESS, ("eth0", "cali1"), True),
        (Hook.INGRESS, ("cali*",), True),
        (Hook.INGRESS, ("eth0",), False),
        (Hook.INGRESS, (), False),
        (Hook.EGRESS, ("eth0",), True),
        (Hook.EGRESS, ("cali1",), False),
    ],
)
def test_a_chain_of_a_device_sees_what_comes_in_or_goes_out_by_it(
    hook: Hook, devices: tuple[str, ...], drops: bool
) -> None:
    assert bool(hit(of_device(hook, *devices))) is drops
    assert outcome(of_device(hook, *devices)).doubts == ()


def test_a_chain_of_a_device_may_see_a_packet_whose_device_is_not_known() -> None:
    found = outcome(of_device(Hook.INGRESS, "eth0"), packet=Packet(A, B, None, "eth0"))
    assert found.dropped is None
    assert [(one.table, one.sure) for one in found.doubts] == [("netdev f", False)]
    assert outcome(of_device(Hook.INGRESS, "eth0"), packet=Packet(A, B, "", "eth0")) == FilterOutcome(), "it is sent"


def test_ingress_comes_before_every_other_hook_and_egress_after() -> None:
    out, into, late = of_device(Hook.EGRESS, "eth0"), of_device(Hook.INGRESS, "cali1"), forward(DROP, priority=-900)
    assert "chain ingress" in hit(out, late, into)
    assert "chain forward" in hit(out, late)


def test_at_ingress_no_connection_is_known() -> None:
    answer = Packet(B, A, "eth0", "cali1", is_answer=True)
    accepts = Rule((ANSWERS,), Action.ACCEPT)
    assert hit(of_device(Hook.INGRESS, "eth0", rules=(accepts, DROP)), packet=answer)
    assert not hit(of_device(Hook.EGRESS, "cali1", rules=(accepts, DROP)), packet=answer)
    by_output = Rule((equal(Field.OUT_DEVICE, device_name("cali1") or b""),), Action.DROP)
    assert not hit(of_device(Hook.INGRESS, "eth0", rules=(by_output,)), packet=answer)
    changed = Rule((equal(Field.STATUS, state_bits(32), inverted=True),), Action.DROP)
    assert not hit(of_device(Hook.INGRESS, "eth0", rules=(changed,)), packet=answer), "it has no status to compare"


def test_an_answer_passes_where_a_new_connection_is_dropped() -> None:
    chain = forward(Rule((ANSWERS,), Action.ACCEPT), drops=True)
    assert hit(chain)
    assert not hit(chain, packet=Packet(B, A, "eth0", "cali1", is_answer=True))


def called(*rules: Rule) -> Chain:
    return Chain("nft", "ip f", "own", rules)


def test_jumps_return_and_gotos_do_not() -> None:
    returned = called(Rule((equal(Field.SOURCE, A),), Action.RETURN), DROP)
    assert hit(forward(Rule((), Action.JUMP, "own"), ACCEPT), returned) == ""
    assert hit(forward(Rule((), Action.GOTO, "own"), ACCEPT, drops=True), returned).endswith("policy drop")
    within = hit(forward(Rule((), Action.JUMP, "own")), called(Rule((equal(Field.SOURCE, A),), Action.REJECT)))
    assert within == "nft table ip f, chain forward, from there in chain own, rule: saddr 10.65.1.1 reject"


def test_chains_that_lead_to_each_other_end() -> None:
    assert outcome(forward(Rule((), Action.JUMP, "own")), called(Rule((), Action.JUMP, "own"))) == FilterOutcome()


def test_a_rule_that_drops_some_packets_is_a_doubt() -> None:
    found = outcome(forward(Rule(TO_PORT_80, Action.DROP)))
    assert found.dropped is None
    assert [str(doubt) for doubt in found.doubts] == [
        "nft table ip f, chain forward, rule: l4proto tcp dport 80 drop",
    ]


def test_a_policy_behind_a_rule_for_some_packets_drops_the_others() -> None:
    found = outcome(forward(Rule(TO_PORT_80, Action.ACCEPT), drops=True))
    assert found.dropped and found.partly
    returns = outcome(forward(Rule(TO_PORT_80, Action.RETURN), DROP))
    assert returns.dropped and returns.partly


@pytest.mark.parametrize(
    "rule", [Rule((UNREAD,), Action.ACCEPT), Rule((), Action.UNREAD, "queue"), Rule((UNREAD,), Action.JUMP, "own")]
)
def test_what_is_not_read_makes_a_later_drop_a_doubt_and_never_certain(rule: Rule) -> None:
    found = outcome(forward(rule, drops=True), called(ACCEPT))
    assert found.dropped is None
    assert found.doubts == (FilterHit("nft", "ip f", "forward", sure=False),)


def test_what_is_not_read_of_a_rule_for_some_packets_leaves_the_others_to_the_policy() -> None:
    """As ufw does: some kinds of ICMP pass, and the rest is dropped."""
    icmp = equal(Field.PROTOCOL, b"\1")
    for rule in (Rule((icmp, UNREAD), Action.ACCEPT), Rule((icmp,), Action.JUMP, "own")):
        found = outcome(forward(rule, drops=True), called(Rule((UNREAD,), Action.ACCEPT)))
        assert found.dropped and found.partly


def test_a_connection_between_pods_has_no_changed_addresses() -> None:
    changed = Condition(Field.STATUS, ((bytes(4), bytes(4)),), inverted=True, mask=state_bits(32))
    assert str(changed) == "ct status dnat"
    assert hit(forward(Rule((changed,), Action.ACCEPT), drops=True))
    assert hit(forward(Rule((changed,), Action.ACCEPT), drops=True), packet=Packet(B, A, is_answer=True))


def test_conditions_are_written_as_nftables_writes_them() -> None:
    texts = {
        str(source(pack("10.65.0.0"), pack("255.255.0.0"))): "saddr 10.65.0.0/16",
        str(equal(Field.SOURCE, b"\x0a")): "saddr 10.0.0.0/8",
        str(equal(Field.IN_DEVICE, b"cali", inverted=True)): 'iifname != "cali*"',
        str(equal(Field.OUT_DEVICE, device_name("eth0") or b"")): 'oifname "eth0"',
        str(ANSWERS): "ct state established,related",
        str(UNREAD): "(-m set: not read)",
        str(Condition(Field.DESTINATION_PORT, ((b"\0\x50", b"\0\x5a"), (b"\1\xbb", b"\1\xbb")))): "dport {80-90, 443}",
    }
    assert list(texts) == list(texts.values())


def test_a_hit_names_the_commands_that_show_the_chain_and_let_packets_pass() -> None:
    hit = FilterHit("nft", "ip f", "forward", within="own")
    assert hit.shown_by == "nft list chain ip f own"
    assert hit.accept("tcp dport 179", iptables="") == "nft insert rule ip f forward tcp dport 179 accept"
    legacy = FilterHit("iptables-legacy", "raw", "PREROUTING")
    assert legacy.accept_port(179).endswith("-p tcp -m multiport --ports 179 -j ACCEPT")
    both = "nft 'insert rule ip f forward tcp dport 179 accept; insert rule ip f forward tcp sport 179 accept'"
    assert hit.accept_port(179) == both
    assert legacy.shown_by == "iptables-legacy -t raw -S PREROUTING"
    assert legacy.accept(iptables="-p 4") == "iptables-legacy -t raw -I PREROUTING -p 4 -j ACCEPT"


def redirected(*rules: Rule, own: tuple[Rule, ...] = (), packet: Packet = PACKET) -> FilterOutcome:
    chains = (Chain("nft", "ip f", "pre", rules, Hook.PREROUTING, drops=True), called(*own))
    return PacketFilters(chains).redirected(Hook.PREROUTING, packet)


TO_B = (equal(Field.DESTINATION, B),)
DNAT = Rule(TO_B, Action.ACCEPT, "dnat")


def test_a_rule_that_gives_packets_another_destination_is_found_and_a_policy_gives_none() -> None:
    found = redirected(DNAT)
    assert str(found.dropped) == "nft table ip f, chain pre, rule: daddr 10.65.2.1 accept (dnat)"
    assert redirected(Rule((), Action.JUMP, "own"), own=(DNAT,)).dropped
    assert redirected(ACCEPT, DNAT) == redirected(Rule((), Action.ACCEPT, "snat"), DNAT) == FilterOutcome()
    assert redirected(Rule(TO_PORT_80, Action.ACCEPT), DNAT).partly
    assert (
        PacketFilters((Chain("nft", "ip f", "pre", (DNAT,), Hook.OUTPUT),)).redirected(Hook.PREROUTING, PACKET)
        == FilterOutcome()
    )


def test_what_redirects_some_packets_is_a_doubt_but_not_where_its_condition_is_not_read() -> None:
    some = Rule(TO_PORT_80, Action.ACCEPT, "DNAT")
    assert [hit.rule for hit in redirected(some).doubts] == ["l4proto tcp dport 80 accept (DNAT)"]
    assert redirected(Rule((UNREAD,), Action.ACCEPT, "DNAT")) == FilterOutcome()
    for leads in (Rule((UNREAD,), Action.JUMP, "own"), Rule((UNREAD,), Action.GOTO, "own")):
        assert redirected(leads, own=(some, DNAT)) == FilterOutcome(), "as kube-proxy's for the node's own addresses"
    assert redirected(Rule((UNREAD,), Action.JUMP, "own"), DNAT, own=(some,)).dropped
