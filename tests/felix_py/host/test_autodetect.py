"""Address autodetection: every method, and rivals named instead of one picked in silence."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface

import pytest

from felix_py.host.autodetect import AutodetectionError, HostInterface, Method, detect


def interface(name: str, *addresses: str, up: bool = True) -> HostInterface:
    return HostInterface(name, up, tuple(ip_interface(address) for address in addresses))


LO = interface("lo", "127.0.0.1/8", "::1/128")
ETH0 = interface("eth0", "192.0.2.1/24", "fe80::1/64", "fd00::1/64")
ETH1 = interface("eth1", "198.51.100.1/25")
DOCKER = interface("docker0", "172.17.0.1/16")
POD = interface("cali0123456789a", "169.254.7.7/32")


def found(method: str, *interfaces: HostInterface, version: int = 4, source: str | None = None) -> str:
    return str(detect(Method.parse(method), version, interfaces, lambda version, destination: source))


def test_first_found_keeps_host_bits_and_length_and_skips_what_is_never_a_nodes() -> None:
    assert found("first-found", LO, DOCKER, POD, ETH0) == "192.0.2.1/24"


def test_ipv6_takes_no_link_local() -> None:
    assert found("first-found", LO, ETH0, version=6) == "fd00::1/64"


def test_several_addresses_of_one_device_count_as_its_first() -> None:
    assert found("first-found", interface("eth0", "192.0.2.1/24", "192.0.2.9/24")) == "192.0.2.1/24"


def test_of_two_devices_that_fit_the_default_routes_is_taken_and_both_are_named() -> None:
    said: list[str] = []
    method = Method.parse("first-found")
    assert (
        str(detect(method, 4, [ETH0, ETH1], lambda version, to: "198.51.100.1", None, warn=said.append))
        == "198.51.100.1/25"
    )
    assert str(detect(method, 4, [ETH0, ETH1], lambda version, to: None, None, warn=said.append)) == "192.0.2.1/24"
    assert "2 devices fit (192.0.2.1/24 on eth0, 198.51.100.1/25 on eth1); 198.51.100.1/25 is taken" in said[0]
    assert len(said) == 2


def test_the_address_that_the_node_has_is_kept_while_it_fits() -> None:
    method, said = Method.parse("first-found"), list[str]()
    stored = ip_interface("198.51.100.1/25")
    assert detect(method, 4, [ETH0, ETH1], lambda version, to: "192.0.2.1", stored, warn=said.append) == stored
    assert not said
    gone = ip_interface("203.0.113.1/24")
    assert str(detect(method, 4, [ETH0], lambda version, to: None, gone, warn=said.append)) == "192.0.2.1/24"


def test_the_address_that_the_node_has_is_kept_when_its_subnet_has_another_length() -> None:
    eth0 = interface("eth0", "192.0.2.9/24", "192.0.2.1/25")
    stored = ip_interface("192.0.2.1/24")
    assert str(detect(Method.parse("first-found"), 4, [eth0], lambda version, to: None, stored)) == "192.0.2.1/25"


def test_the_address_that_kubernetes_knows_is_taken_from_its_device() -> None:
    method, internal = Method.parse("kubernetes-internal-ip"), [ip_address("198.51.100.1"), ip_address("fd00::1")]
    assert str(detect(method, 4, [ETH0, ETH1], lambda version, to: None, None, internal)) == "198.51.100.1/25"
    assert str(detect(method, 6, [ETH0, ETH1], lambda version, to: None, None, internal)) == "fd00::1/64"
    with pytest.raises(AutodetectionError, match="Kubernetes knows no InternalIP of IPv4 of this node; set IP or"):
        detect(method, 4, [ETH0, ETH1], lambda version, to: None)
    with pytest.raises(AutodetectionError, match=r"198\.51\.100\.1 is on no device that is up"):
        detect(method, 4, [ETH0], lambda version, to: None, None, internal)


def test_a_device_that_is_down_does_not_count() -> None:
    assert found("first-found", interface("eth0", "192.0.2.1/24", up=False), ETH1) == "198.51.100.1/25"


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("interface=eth1", "198.51.100.1/25"),
        ("interface=nothing,eth0", "192.0.2.1/24"),
        ("skip-interface=eth0", "198.51.100.1/25"),
        ("cidr=198.51.100.0/24", "198.51.100.1/25"),
        ("cidr=203.0.113.0/24,192.0.2.0/24", "192.0.2.1/24"),
    ],
)
def test_methods_that_choose(method: str, address: str) -> None:
    assert found(method, LO, ETH0, ETH1) == address


def test_can_reach_asks_for_the_way_to_a_host_in_the_family_that_is_wanted() -> None:
    ways = {(4, "router.example"): "192.0.2.1", (6, "router.example"): "fd00::1"}
    method = Method.parse("can-reach=router.example")
    given = [detect(method, version, [ETH0], lambda version, host: ways[version, host]) for version in (4, 6)]
    assert list(map(str, given)) == ["192.0.2.1/24", "fd00::1/64"]


def test_can_reach_takes_the_kernels_source_address() -> None:
    assert found("can-reach=203.0.113.9", ETH0, ETH1, source="198.51.100.1") == "198.51.100.1/25"
    with pytest.raises(
        AutodetectionError, match=r"203\.0\.113\.9 has no IPv4 address that is known, or no route leads"
    ):
        found("can-reach=203.0.113.9", ETH0, ETH1, source=None)
    with pytest.raises(AutodetectionError, match=r"198\.51\.100\.1, from which 203\.0\.113\.9 is reached, is on no"):
        found("can-reach=203.0.113.9", ETH0, source="198.51.100.1")


@pytest.mark.parametrize("text", ["can-reach=router.example", "kubernetes-internal-ip"])
def test_while_what_a_method_goes_by_is_not_known_the_node_keeps_the_address_that_it_has(text: str) -> None:
    """A name server that is away must not keep the agent of a node from starting again."""
    method, said = Method.parse(text), list[str]()
    stored = ip_interface("198.51.100.1/25")
    assert detect(method, 4, [ETH0, ETH1], lambda version, to: None, stored, warn=said.append) == stored
    assert [one for one in said if one.endswith("; it keeps 198.51.100.1")] == said != []
    with pytest.raises(AutodetectionError):
        detect(method, 4, [ETH0], lambda version, to: None, stored)


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("interface=eth[", "bad regular expression"),
        ("interface=a{99999999999999999999}", "bad regular expression"),
        ("interface=", "nothing follows the ="),
        ("skip-interface= , ", "nothing follows the ="),
        ("cidr=10.0.0.0/40", "not a CIDR"),
        ("can-reach=", "neither an address nor"),
        ("can-reach=a b", "neither an address nor"),
        ("first-found=eth0", "no such method"),
        ("kubernetes-external-ip", "no such method"),
        ("", "no such method"),
    ],
)
def test_a_method_that_is_none_is_refused(method: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Method.parse(method)


def test_a_method_that_finds_nothing_says_so() -> None:
    with pytest.raises(AutodetectionError, match=r"detect the node's IPv4 address by interface=wlan\.\*"):
        found("interface=wlan.*", ETH0)
