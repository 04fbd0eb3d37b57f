"""Routes to bytes and back. What `ip` thinks of the bytes is in test_rtnetlink.py."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel import route as route_module
from kernel.message import DONE, message, messages, number
from kernel.route import (
    BLACKHOLE,
    DELETE_ROUTE,
    LINK_SCOPE,
    MAIN_TABLE,
    NEW_ROUTE,
    UNICAST,
    DecodedRoute,
    NextHop,
    RouteKind,
    RouteSpec,
    decode_route,
    dump_request,
    ip_route_text,
    put_envelope,
    put_message,
    remove_envelope,
    take_routes,
)
from net.prefix import Prefix, pack

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
MOST_KEPT = 1024
NAMES = {2: "eth0", 7: "cali12ab"}


def prefixes(size: int) -> st.SearchStrategy[Prefix]:
    def cut(number_and_length: tuple[int, int]) -> Prefix:
        value, length = number_and_length
        beyond = 8 * size - length
        return Prefix((value >> beyond << beyond).to_bytes(size), length)

    return st.tuples(st.integers(0, 2 ** (8 * size) - 1), st.integers(0, 8 * size)).map(cut)


def hops(size: int, weights: st.SearchStrategy[int]) -> st.SearchStrategy[NextHop]:
    gateways = st.binary(min_size=size, max_size=size)
    if size == 4:
        gateways |= st.binary(min_size=16, max_size=16)
    return st.builds(NextHop, st.integers(1, 2**31 - 1), gateways, st.booleans(), weights)


def specs(size: int) -> st.SearchStrategy[RouteSpec]:
    """Every spec in the form in which it reads back: one hop has no weight, only unicast has hops."""
    single = st.tuples(hops(size, st.just(1)) | st.integers(1, 2**31 - 1).map(NextHop))
    several = st.lists(hops(size, st.integers(1, 256)), min_size=2, max_size=6).map(tuple)
    shared = {
        "protocol": st.integers(0, 255),
        "metric": st.integers(0 if size == 4 else 1, 2**32 - 1),
        "scope": st.sampled_from([0, LINK_SCOPE]) if size == 4 else st.just(0),
        "mtu": st.sampled_from([0, 1280, 1440, 9000]),
        "source": st.just(b"") | st.binary(min_size=size, max_size=size),
    }
    unicast = st.builds(RouteSpec, kind=st.just(UNICAST), hops=single | several, **shared)
    dropping = st.builds(
        RouteSpec,
        hops=st.just(()),
        kind=st.sampled_from([BLACKHOLE, RouteKind.UNREACHABLE, RouteKind.PROHIBIT]),
        **shared,
    )
    return unicast | dropping


routes = st.sampled_from([4, 16]).flatmap(lambda size: st.tuples(prefixes(size), specs(size)))


@unhurried
@given(routes, st.integers(1, 2**32 - 1))
def test_a_route_reads_back_as_it_was_written(route: tuple[Prefix, RouteSpec], sequence: int) -> None:
    [sent] = messages(put_message(sequence, *route))
    assert (sent.kind, sent.sequence) == (NEW_ROUTE, sequence)
    assert decode_route(sent.body) == DecodedRoute(*route, MAIN_TABLE)


@unhurried
@given(routes)
def test_a_route_as_the_kernel_reports_it_reads_the_same_and_shares_the_spec(
    route: tuple[Prefix, RouteSpec],
) -> None:
    [sent] = messages(put_message(1, *route))
    reported = sent.body[:12] + number(15, MAIN_TABLE) + sent.body[12:]
    first, second = decode_route(reported), decode_route(reported)
    assert first == DecodedRoute(*route, MAIN_TABLE)
    assert first is not None and second is not None and first.spec is second.spec


@unhurried
@given(routes)
def test_flags_of_a_lost_carrier_change_nothing(route: tuple[Prefix, RouteSpec]) -> None:
    [sent] = messages(put_message(1, *route))
    flags = int.from_bytes(sent.body[8:12], "little") | 0x11  # RTNH_F_DEAD, RTNH_F_LINKDOWN
    reported = sent.body[:8] + flags.to_bytes(4, "little") + number(15, MAIN_TABLE) + sent.body[12:]
    assert decode_route(reported) == DecodedRoute(*route, MAIN_TABLE)


@unhurried
@given(st.binary(max_size=200))
def test_no_bytes_at_all_upset_the_decoder(body: bytes) -> None:
    decode_route(body)


@unhurried
@given(
    st.lists(st.tuples(routes, st.sampled_from([MAIN_TABLE, 7]), st.sampled_from([5, 6])), max_size=5), st.booleans()
)
def test_a_dump_holds_the_routes_of_its_messages(
    written: list[tuple[tuple[Prefix, RouteSpec], int, int]], ends: bool
) -> None:
    """Those of the main table, whose messages have its number; read twice, as the second reading knows the specs."""
    datagram = b""
    for route, table, sequence in written:
        [sent] = messages(put_message(1, *route))
        body = sent.body[:12] + number(15, table) + sent.body[12:]
        datagram += message(NEW_ROUTE, 0, sequence, body) + bytes(-len(body) % 4)
    closing = message(DONE, 0, 5, bytes(4))
    for _ in range(2):
        found: list[tuple[Prefix, RouteSpec]] = []
        last = take_routes(datagram + (closing if ends else b""), 5, found)
        assert found == [route for route, table, sequence in written if (table, sequence) == (MAIN_TABLE, 5)]
        assert last == (next(messages(closing)) if ends else None)


@unhurried
@given(st.binary(max_size=200))
def test_no_bytes_at_all_upset_a_dump(datagram: bytes) -> None:
    take_routes(datagram, 0, [])


def test_a_removal_names_protocol_and_metric_but_no_hop() -> None:
    prefix, spec = Prefix.parse("10.65.1.0/26"), RouteSpec(81, 1030, hops=(NextHop(2, pack("192.0.2.2")),))
    [sent] = messages(remove_envelope(spec, 4, 26).around(5, prefix.packed))
    assert sent.kind == DELETE_ROUTE
    assert decode_route(sent.body) == DecodedRoute(
        prefix, RouteSpec(81, 1030, RouteKind.UNSPECIFIED, scope=255), MAIN_TABLE
    )


def test_what_is_kept_of_pods_that_came_and_went_is_bounded() -> None:
    pod, removals = Prefix.parse("10.65.1.2/32"), set[int]()
    for device in range(1, 5000):
        spec = RouteSpec(80, 1030, hops=(NextHop(device),), scope=LINK_SCOPE)
        [sent] = messages(put_message(1, pod, spec))
        reported = sent.body[:12] + number(15, MAIN_TABLE) + sent.body[12:]  # the kernel names the table first
        assert decode_route(reported) == DecodedRoute(pod, spec, MAIN_TABLE)
        removals.add(id(remove_envelope(spec, 4, 32)))
    assert len(removals) == 1, "a removal does not depend on the device"
    assert put_envelope.cache_info().currsize <= MOST_KEPT
    assert 0 < len(route_module._read) <= MOST_KEPT


def test_a_removal_that_would_take_anybodys_route_is_refused() -> None:
    with pytest.raises(ValueError, match="any protocol"):
        remove_envelope(RouteSpec(0, 1030), 4, 26)


def test_specs_that_differ_only_in_their_family_do_not_share_bytes() -> None:
    spec = RouteSpec(80, 1030, BLACKHOLE)
    assert put_message(1, Prefix.parse("10.0.0.0/26"), spec) != put_message(1, Prefix.parse("fd00::/122"), spec)


def test_a_cached_exception_of_ipv6_is_not_a_route() -> None:
    body = bytearray(dump_request(16))
    body[8:12] = (0x200).to_bytes(4, "little")
    assert decode_route(bytes(body)) is None


def test_a_route_is_printed_as_ip_reads_it() -> None:
    block, pod = Prefix.parse("10.65.1.0/26"), Prefix.parse("10.65.1.7")
    gateway = pack("192.0.2.2")
    assert (
        ip_route_text(block, RouteSpec(81, 1030, hops=(NextHop(2, gateway),)), NAMES)
        == "10.65.1.0/26 via 192.0.2.2 dev eth0 proto 81 metric 1030"
    )
    assert ip_route_text(block, RouteSpec(80, 1030, BLACKHOLE), NAMES) == "blackhole 10.65.1.0/26 proto 80 metric 1030"
    assert ip_route_text(pod, RouteSpec(80, 1030, hops=(NextHop(7),), scope=253), NAMES) == (
        "10.65.1.7/32 dev cali12ab proto 80 metric 1030 scope link"
    )
    assert ip_route_text(pod, RouteSpec(80, 0, hops=(NextHop(9),)), NAMES) == "10.65.1.7/32 dev if9 proto 80"
    two = RouteSpec(
        81, 1030, hops=(NextHop(2, gateway), NextHop(2, pack("192.0.2.3"), onlink=True, weight=3)), mtu=1440
    )
    assert ip_route_text(block, two, NAMES) == (
        "10.65.1.0/26 proto 81 metric 1030 mtu 1440"
        " nexthop via 192.0.2.2 dev eth0 weight 1 nexthop via 192.0.2.3 dev eth0 weight 3 onlink"
    )
