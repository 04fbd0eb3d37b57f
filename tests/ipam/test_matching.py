"""Which addresses are plainly in order."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from hypothesis import example, given
from hypothesis import strategies as st

from datastore.fields import Address
from datastore.kinds.node import Node
from datastore.summaries import EndpointSpec, EndpointSummary, HandleSpec, HandleSummary
from ipam.block import Allocation
from ipam.leaks import find_leaks
from ipam.matching import Matching, match

BLOCK = ip_network("10.65.0.0/30")
NAMES = st.sampled_from(("a", "b"))
OWNERS = st.fixed_dictionaries({}, optional={"node": NAMES, "namespace": NAMES, "pod": NAMES}) | st.fixed_dictionaries(
    {"node": NAMES, "type": st.sampled_from(("ipipTunnelAddress", "other"))},
    optional={"namespace": NAMES, "pod": NAMES},
)


def allocation(number: int, handle: str | None, owner: dict[str, str], alternate: dict[str, str]) -> Allocation:
    return Allocation(BLOCK[number], handle, owner, number, BLOCK, alternate=alternate)


def endpoint(number: int, node: str, namespace: str, pod: str, addresses: list[int]) -> EndpointSummary:
    spec = EndpointSpec(node, pod, "eth0", None, None)
    return EndpointSummary(f"{node}-{pod}-{number}", namespace, None, tuple(BLOCK[one] for one in addresses), spec)


def endpoint_of(endpoints: list[EndpointSummary]) -> dict[Address, EndpointSummary]:
    return {address: one for one in endpoints for address in one.addresses}


HANDLES = st.sampled_from(("one", "two", None))
ORDINALS = st.integers(0, 3)
ASSIGNED = st.lists(st.builds(allocation, ORDINALS, HANDLES, OWNERS, st.just({}) | OWNERS), max_size=5)
ENDPOINTS = st.lists(
    st.builds(endpoint, ORDINALS, NAMES, NAMES, NAMES, st.lists(ORDINALS, max_size=2, unique=True)), max_size=4
)
POD = {"node": "a", "namespace": "a", "pod": "a"}


def test_an_address_of_the_pod_that_has_it_is_matched_and_every_other_is_left() -> None:
    other_node = POD | {"node": "b"}
    assigned = [allocation(0, "one", POD, {}), allocation(1, "two", other_node, {}), allocation(2, "three", POD, {})]
    endpoints = [endpoint(0, "a", "a", "a", [0]), endpoint(1, "a", "a", "a", [1]), endpoint(3, "b", "a", "a", [3])]
    found = match(assigned, endpoint_of(endpoints))
    assert (found.matched, found.rest) == (assigned[:1], assigned[1:])
    assert list(map(str, found.users)) == ["10.65.0.1", "10.65.0.3"]


def test_what_blocks_assign_twice_is_matched_once() -> None:
    twice = [allocation(0, "one", POD, {}), allocation(0, "two", POD, {})]
    assert match(twice, endpoint_of([endpoint(0, "a", "a", "a", [0])])) == (twice[:1], twice[1:], {})


@given(ASSIGNED, ENDPOINTS, st.sets(NAMES))
@example(
    [allocation(0, "one", POD, {}), allocation(1, "one", {"node": "b"}, {})], [endpoint(0, "a", "a", "a", [0])], set()
)
def test_nothing_else_is_leaked_where_the_matched_are_not_looked_at(
    assigned: list[Allocation], endpoints: list[EndpointSummary], names: set[str]
) -> None:
    nodes = [Node.make(name) for name in sorted(names)]
    handles = [HandleSummary(name, "1", HandleSpec(name, {str(BLOCK): 1})) for name in ("one", "two")]
    users = endpoint_of(endpoints)
    every, found = Matching((), assigned, users), match(assigned, users)
    assert find_leaks((), handles, endpoints, nodes, matching=found) == find_leaks(
        (), handles, endpoints, nodes, matching=every
    )
    assert sorted((*found.matched, *found.rest), key=repr) == sorted(assigned, key=repr)


def test_an_address_of_ipv6_is_matched_too() -> None:
    one = Allocation(ip_address("fd00::1"), "one", POD, 1, ip_network("fd00::/122"))
    user = EndpointSummary("x", "a", None, (ip_address("fd00::1"),), EndpointSpec("a", "a", "eth0", None, None))
    assert match([one], endpoint_of([user])) == ([one], [], {})
