"""What a pod asks for, and whose word counts first."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from msgspec.structs import replace

from cni.errors import CniError, Code
from cni.network_config import ANNOTATIONS
from cni.request import CniRequest
from cni.wishes import AddressRequest, address_request, asks_without_ipam, hardware_address
from tests.cni.conftest import add_request


def test_pools_come_from_the_pods_annotations_before_the_network() -> None:
    network = {"ipam": {"ipv4_pools": ["network"]}}
    assert address_request(add_request(**network)).ipv4_pools == ("network",)
    annotations = {"cni.projectcalico.org/ipv4pools": '["pod"]', "cni.projectcalico.org/ipv6pools": '["six"]'}
    by_runtime = address_request(add_request(**network, runtimeConfig={ANNOTATIONS: annotations}))
    by_args = address_request(add_request(**network, args={"cni": {"annotations": annotations}}))
    assert by_runtime == by_args
    assert (by_runtime.ipv4_pools, by_runtime.ipv6_pools) == (("pod",), ("six",))


def test_pools_of_the_namespace_come_after_the_pods_and_before_the_networks_in_each_family() -> None:
    prefix = "cni.projectcalico.org/"
    asked = replace(
        add_request(
            ipam={"ipv4_pools": ["network"], "ipv6_pools": ["network"]},
            runtimeConfig={ANNOTATIONS: {f"{prefix}ipv6pools": '["pod"]'}},
        ),
        namespace_annotations={
            f"{prefix}ipv4pools": '["namespace"]',
            f"{prefix}ipv6pools": '["namespace"]',
            f"{prefix}ipAddrs": '["10.0.0.9"]',  # Calico reads no other annotation of a Namespace
        },
    )
    wanted = address_request(asked)
    assert (wanted.ipv4_pools, wanted.ipv6_pools, wanted.addresses) == (("namespace",), ("pod",), ())


def test_families_follow_configuration_then_annotation() -> None:
    assert (address_request(add_request()).ipv4, address_request(add_request()).ipv6) == (1, 0)
    dual = address_request(add_request(ipam={"assign_ipv4": "true", "assign_ipv6": "true"}))
    assert (dual.ipv4, dual.ipv6, dual.ipv6_first) == (1, 1, False)
    first = address_request(
        add_request(runtimeConfig={ANNOTATIONS: {"cni.projectcalico.org/ipFamilies": '["IPv6","IPv4"]'}})
    )
    assert (first.ipv4, first.ipv6, first.ipv6_first) == (1, 1, True)


@pytest.mark.parametrize(
    "network",
    [
        {"runtimeConfig": {"ips": ["10.0.0.9/32"]}},
        {"args": {"cni": {"ips": ["10.0.0.9"]}}},
        {"runtimeConfig": {ANNOTATIONS: {"cni.projectcalico.org/ipAddrs": '["10.0.0.9"]'}}},
    ],
)
def test_an_address_can_be_asked_for_by_name(network: dict[str, Any]) -> None:
    assert address_request(add_request(**network)).addresses == (ip_address("10.0.0.9"),)


@pytest.mark.parametrize(
    "network",
    [
        {"runtimeConfig": {ANNOTATIONS: {"cni.projectcalico.org/ipv4pools": "pool1"}}},
        {"runtimeConfig": {ANNOTATIONS: {"cni.projectcalico.org/ipv4pools": "[1]"}}},
        {"runtimeConfig": {ANNOTATIONS: {"cni.projectcalico.org/ipFamilies": '["IPv5"]'}}},
        {"runtimeConfig": {ANNOTATIONS: {"cni.projectcalico.org/floatingIPs": '["10.0.0.9"]'}}},
        {"runtimeConfig": {"ips": ["10.0.0.999"]}},
        {"ipam": {"assign_ipv4": "false"}},
    ],
)
def test_a_wish_that_cannot_be_understood_is_code_7(network: dict[str, Any]) -> None:
    with pytest.raises(CniError) as caught:
        address_request(add_request(**network))
    assert caught.value.code == Code.INVALID_CONFIGURATION


ALLOWED = {"feature_control": {"ip_addrs_no_ipam": True}}


def without_ipam(asked: str, network: dict[str, Any], **more: str) -> CniRequest:
    annotations = {"ipAddrsNoIpam": asked, **more}
    notes = {f"cni.projectcalico.org/{name}": text for name, text in annotations.items()}
    return add_request(**network, runtimeConfig={ANNOTATIONS: notes})


def test_addresses_without_ipam_are_taken_as_they_are_where_the_network_allows_it() -> None:
    asked = without_ipam('["192.0.2.9", "2001:db8::9/128"]', ALLOWED)
    assert address_request(asked) == AddressRequest(
        1, 1, addresses=(ip_address("192.0.2.9"), ip_address("2001:db8::9")), reserved=False
    )
    assert asks_without_ipam(asked)
    assert not asks_without_ipam(without_ipam("[]", ALLOWED))
    assert address_request(without_ipam("[]", ALLOWED)).reserved


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (without_ipam('["192.0.2.9"]', {}), "does not allow addresses without IPAM: set feature_control"),
        (without_ipam('["192.0.2.9"]', {"feature_control": {"ip_addrs_no_ipam": "false"}}), "does not allow"),
        (without_ipam('["192.0.2.9", "192.0.2.10"]', ALLOWED), "one address of each family"),
        (without_ipam('["192.0.2.9"]', ALLOWED, ipAddrs='["10.65.0.9"]'), "asks for other ones; remove one"),
        (without_ipam('["224.0.0.9"]', ALLOWED), "no pod can have 224.0.0.9"),
        (without_ipam('["127.0.0.9"]', ALLOWED), "no pod can have 127.0.0.9"),
        (without_ipam("192.0.2.9", ALLOWED), "is not a JSON list"),
    ],
)
def test_addresses_without_ipam_that_a_pod_cannot_have_are_code_7(asked: CniRequest, said: str) -> None:
    with pytest.raises(CniError, match=said) as caught:
        address_request(asked)
    assert caught.value.code == Code.INVALID_CONFIGURATION


def test_a_mac_can_be_asked_for_unless_no_device_can_have_it() -> None:
    assert hardware_address(add_request(runtimeConfig={"mac": "C2:B0:57:49:47:F1"})) == "c2:b0:57:49:47:f1"
    with pytest.raises(CniError):
        hardware_address(add_request(runtimeConfig={"mac": "01:00:5e:00:00:01"}))
