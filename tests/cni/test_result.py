"""Results, against the specification and against what Calico 3.32.1 prints."""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni.errors import CniError, Code
from cni.network_config import ANNOTATIONS
from cni.notices import network_notices, pod_notices
from cni.request import VERSIONS, parse
from cni.result import CniInterface, CniResult, addresses_of, render
from cni.wishes import address_request, hardware_address
from tests.cni.conftest import call, configuration

CALICO = Path(__file__).parents[1] / "fixtures" / "calico" / "cni"


RESULT = CniResult(
    host=CniInterface("cali0761ccbeace", "ee:ee:ee:ee:ee:ee", 1500),
    container=CniInterface("eth0", "66:ae:5c:b2:05:70", 1500, "/var/run/netns/web-1"),
    addresses=(ip_address("10.65.84.128"),),
    gateways=(ip_address("169.254.1.1"),),
)


@pytest.mark.parametrize("version", VERSIONS)
def test_results_hold_what_calicos_hold(version: str) -> None:
    ours = render(RESULT, version)
    if version == "1.1.0":  # which Calico does not speak
        assert ours["interfaces"][1]["mtu"] == 1500
        return
    theirs = json.loads((CALICO / f"add-{version}.json").read_text())["stdout"]
    more = {"address": "10.65.84.128/32", "gateway": "169.254.1.1"}  # without a gateway sbr breaks the pod
    assert theirs["ips"][0] | more == ours["ips"][0]
    assert [one["name"] for one in ours["interfaces"]][1] == "eth0"
    assert theirs["interfaces"][1].keys() == ours["interfaces"][1].keys()
    assert ours["cniVersion"] == version
    assert ours["routes"] == [{"dst": "0.0.0.0/0", "gw": "169.254.1.1"}]


def test_the_primary_family_comes_first_and_each_has_its_default_route() -> None:
    both = CniResult(
        RESULT.host,
        RESULT.container,
        (ip_address("fd00::5"), ip_address("10.65.84.128")),
        (ip_address("fe80::1"), ip_address("169.254.1.1")),
    )
    shown = render(both, "1.0.0")
    assert [ip["address"] for ip in shown["ips"]] == ["fd00::5/128", "10.65.84.128/32"]
    assert [route["dst"] for route in shown["routes"]] == ["::/0", "0.0.0.0/0"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.text(min_size=1, max_size=5), json_values, max_size=4), st.sampled_from(VERSIONS))
def test_what_earlier_plugins_said_is_passed_on_with_members_we_do_not_know(
    unknown: dict[str, Any], version: str
) -> None:
    ours = {"cniVersion", "interfaces", "ips", "routes"}
    unknown = {key: value for key, value in unknown.items() if key not in ours}
    previous = {
        "cniVersion": version,
        "interfaces": [{"name": "lo", "sandbox": "/n", "x": 1}],
        "ips": [{"address": "127.0.0.1/8", "interface": 0}],
        "dns": {},
    } | unknown
    shown = render(RESULT, version, previous)
    assert {key: shown[key] for key in previous if key not in ours} == {
        key: value for key, value in previous.items() if key not in ours
    }
    assert shown["interfaces"][0] == previous["interfaces"][0]
    assert [ip["interface"] for ip in shown["ips"]] == [0, 2]


def test_addresses_without_an_interface_are_not_taken_for_ours() -> None:
    previous = {
        "interfaces": [{"name": "eth0", "sandbox": "/n"}, {"name": "eth0"}],
        "ips": [
            {"address": "10.0.0.1/32", "interface": 0},
            {"address": "10.0.0.2/32", "interface": 1},
            {"address": "10.0.0.3/32"},
        ],
    }
    assert addresses_of(previous, "eth0") == (ip_address("10.0.0.1"),)
    assert addresses_of(previous, "eth1") is None


members = st.sampled_from(
    [
        *("prevResult", "interfaces", "ips", "routes", "dns", "address", "interface", "name", "sandbox", "mac", "mtu"),
        *("runtimeConfig", "args", "cni", "annotations", ANNOTATIONS, "ipam", "type", "ipv4_pools"),
        *("cni.projectcalico.org/ipAddrs", "cni.projectcalico.org/hwAddr", "cni.projectcalico.org/ipFamilies"),
    ]
)


odd_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["", "eth0", "10.0.0.1/32", "[1]", '["10.0.0.1"]']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(members, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(members, odd_values, max_size=5), st.sampled_from(["ADD", "CHECK", "DEL", "GC", "STATUS"]))
def test_whatever_the_configuration_holds_is_understood_or_refused_with_a_code(
    network: dict[str, Any], verb: str
) -> None:
    try:
        request = parse(call(verb, CNI_NETNS="/n"), json.dumps(configuration(**network)).encode())
        address_request(request), hardware_address(request), pod_notices(request), network_notices(request.network)
        previous = request.network.prev_result
        render(RESULT, request.version, previous)
        addresses_of(previous or {}, "eth0")
    except CniError as error:
        assert error.code in {Code.INVALID_CONFIGURATION, Code.UNDECODABLE}
