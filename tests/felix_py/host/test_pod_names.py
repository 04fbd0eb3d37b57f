"""Which devices are pods', whatever FELIX_INTERFACEPREFIX says and has said."""

from __future__ import annotations

from ipaddress import ip_interface

import pytest
from msgspec.structs import replace

from datastore.names import interface_name
from felix_py.host.autodetect import HostInterface
from felix_py.host.pod_names import is_pods, mistaken, prefix_notices, prefixes, why_refused
from kernel.link_codec import Link

OF_CALICO = Link(7, interface_name("default", "web"), up=True, carrier=True, mtu=1500, mac=bytes(6))
OF_FX = replace(OF_CALICO, name=interface_name("default", "web", "fx"))
LABELLED = replace(OF_FX, alias="felix pods c1 eth0")
RETIRED = replace(LABELLED, name="x0123456789abcd", up=False)
ETH0 = replace(OF_CALICO, name="eth0")


@pytest.mark.parametrize(
    ("link", "prefix", "expected"),
    [
        (OF_FX, "fx", True),
        (OF_FX, "cali", False),
        (LABELLED, "cali", True),
        (RETIRED, "cali", True),
        (OF_CALICO, "fx", True),
        (replace(OF_CALICO, name="cali-lan"), "fx", False),
        (ETH0, "cali", False),
        (replace(ETH0, alias="felix's uplink"), "cali", False),
    ],
)
def test_a_device_is_a_pods_by_its_beginning_its_label_or_calicos_name(link: Link, prefix: str, expected: bool) -> None:
    assert is_pods(link, prefix) is expected


def test_pods_from_before_the_setting_changed_have_names_that_begin_otherwise() -> None:
    assert prefixes([OF_CALICO, LABELLED, RETIRED, ETH0], "pod") == ("pod", "cali", "fx")
    assert prefixes([OF_CALICO, ETH0], "cali") == prefixes([], "cali") == ("cali",)


def test_what_begins_as_pods_devices_do_and_is_none_is_mistaken() -> None:
    assert mistaken(["lo", "eth1", "eth0", interface_name("default", "web", "eth")], "eth") == ["eth0", "eth1"]
    assert mistaken(["lo", "eth0", OF_CALICO.name, "wireguard.cali"], "cali") == []


def device(name: str, *addresses: str) -> HostInterface:
    return HostInterface(name, True, tuple(map(ip_interface, addresses)))


HOST = (device("lo", "127.0.0.1/8"), device("eth0", "192.0.2.1/24", "fe80::1/64"), device("veth12ab34c", "fe80::2/64"))


@pytest.mark.parametrize(("prefix", "named"), [("eth", "eth0"), ("l", "lo"), ("tunl", "tunl0")])
def test_a_beginning_that_the_hosts_own_devices_have_is_refused_with_their_names(prefix: str, named: str) -> None:
    assert why_refused(HOST, prefix).startswith(f"FELIX_INTERFACEPREFIX={prefix}: the host's own {named} would be")


@pytest.mark.parametrize("prefix", ["cali", "veth", "fx"])
def test_a_beginning_is_not_refused_for_devices_that_have_no_address_of_the_host(prefix: str) -> None:
    assert why_refused(HOST, prefix) == ""


def test_devices_that_are_taken_for_pods_are_one_notice() -> None:
    (notice,) = prefix_notices(["veth2", "veth1", "eth0"], "veth")
    assert "such as that of veth1" in str(notice)
    assert prefix_notices(["eth0", OF_CALICO.name], "cali") == ()
