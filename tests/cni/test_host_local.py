"""What is filled in of a configuration for `host-local`, and what is refused before it is asked."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from cni.errors import CniError
from cni.host_local import addresses_given, delegates, refuse_wishes, with_pod_cidrs
from cni.network_config import ANNOTATIONS
from cni.request import CniRequest, parse
from datastore.fields import Network
from tests.cni.conftest import call, configuration

BOTH = (ip_network("10.244.1.0/24"), ip_network("fd00:244:1::/64"))


def request(verb: str = "ADD", **more: Any) -> CniRequest:
    return parse(call(verb, CNI_NETNS="/run/netns/a"), json.dumps(configuration(**more)).encode())


def filled(ipam: dict[str, Any], verb: str = "ADD", pod_cidrs: tuple[Network, ...] = BOTH) -> Any:
    return with_pod_cidrs(request(verb, ipam={"type": "host-local", **ipam}), "n1", pod_cidrs)["ipam"]


def test_the_nodes_networks_take_the_place_of_their_names() -> None:
    assert filled({"subnet": "usePodCidr"})["subnet"] == "10.244.1.0/24"
    assert filled({"subnet": "USEPODCIDRIPV6"})["subnet"] == "fd00:244:1::/64"
    both = [[{"subnet": "usePodCidr"}], [{"subnet": "usePodCidrIPv6", "gateway": "x"}, {"subnet": "10.9.0.0/24"}]]
    assert filled({"ranges": both})["ranges"] == [
        [{"subnet": "10.244.1.0/24"}],
        [{"subnet": "fd00:244:1::/64", "gateway": "x"}, {"subnet": "10.9.0.0/24"}],
    ]


def test_the_rest_of_the_configuration_is_passed_on_as_it_came() -> None:
    asked = request(ipam={"type": "host-local", "subnet": "usePodCidr", "dataDir": "/x"}, odd={"a": [1]}, mtu=1400)
    document = with_pod_cidrs(asked, "n1", BOTH)
    assert document.pop("cniVersion") == "0.4.0", "Debian's does not speak 1.1.0"
    assert document | {"cniVersion": "1.1.0"} == {
        **asked.document,
        "ipam": {"type": "host-local", "subnet": "10.244.1.0/24", "dataDir": "/x"},
    }


@pytest.mark.parametrize("odd", [{"subnet": 5}, {"ranges": 7}, {"ranges": [7, ["x", {"subnet": None}]]}])
def test_what_host_local_does_not_take_is_left_to_it_to_refuse(odd: dict[str, Any]) -> None:
    assert filled(odd) == {"type": "host-local", **odd}


def test_a_node_without_a_network_gets_no_pod_now() -> None:
    with pytest.raises(CniError, match=r"usePodCidrIPv6: the Node n1 has no podCIDR of IPv6.*--allocate-node") as no:
        filled({"subnet": "usePodCidrIPv6"}, pod_cidrs=BOTH[:1])
    assert no.value.code == 11


def test_what_was_given_is_given_back_without_the_nodes_network() -> None:
    assert filled({"subnet": "usePodCidr"}, "DEL", ())["subnet"] == "0.0.0.0/0"
    assert filled({"ranges": [[{"subnet": "usePodCidrIPv6"}]]}, "DEL", ())["ranges"] == [[{"subnet": "::/0"}]]


def test_only_host_local_is_another_to_give_addresses() -> None:
    assert delegates(request("DEL", ipam={"type": "host-local"}))
    assert not delegates(request(ipam={"type": "calico-ipam"})) and not delegates(request("DEL", ipam=["x"]))
    with pytest.raises(CniError, match=r"ipam\.type 'dhcp': Input should be 'felix-ipam', 'calico-ipam' or") as refused:
        request(ipam={"type": "dhcp"})
    assert refused.value.code == 7


def test_a_pod_that_asks_for_one_address_is_refused() -> None:
    notes = {"cni.projectcalico.org/ipAddrs": '["10.9.0.1"]'}
    with pytest.raises(CniError, match=r"ipAddrs.*from host-local are not implemented") as refused:
        refuse_wishes(request(ipam={"type": "host-local"}, runtimeConfig={ANNOTATIONS: notes}))
    assert refused.value.code == 7


def test_the_addresses_of_a_result_are_those_of_the_pod() -> None:
    ips = [{"address": "10.244.1.2/24", "gateway": "10.244.1.1"}, {"address": "fd00:244:1::2/64"}]
    assert addresses_given({"ips": ips}) == (ip_address("10.244.1.2"), ip_address("fd00:244:1::2"))


@pytest.mark.parametrize("answer", [{}, {"ips": []}, {"ips": 7}, {"ips": [{}]}, {"ips": [{"address": "x"}]}])
def test_a_result_without_addresses_is_none(answer: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError)):
        addresses_given(answer)
