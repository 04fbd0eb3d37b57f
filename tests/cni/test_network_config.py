"""The network's configuration: what is understood, and what is code 7."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cni.attachment import PodRef
from cni.errors import Code
from cni.network_config import ANNOTATIONS
from cni.request import parse
from tests.cni.conftest import add_request, call, configuration, refused

CALICO = Path(__file__).parents[1] / "fixtures" / "calico" / "cni"


@pytest.mark.parametrize(
    ("network", "named"),
    [
        ({"cniVersion": "1.0.0"}, "name"),
        (configuration(name=""), "name"),
        (configuration(name="a/b"), "a/b"),
        (configuration(mtu=-1), "mtu"),
        (configuration(mtu="big"), "mtu"),
        (configuration(ipam={"type": "dhcp"}), "dhcp"),
        (configuration(ipam={"assign_ipv4": "maybe"}), "maybe"),
        (configuration(ipam={"ipv4_pools": "one"}), "ipv4_pools"),
        (configuration(prevResult=[]), "prevResult"),
    ],
)
def test_a_bad_configuration_is_code_7_and_names_the_member(network: dict[str, Any], named: str) -> None:
    error = refused(call("ADD", CNI_NETNS="/n"), network)
    assert error.code == Code.INVALID_CONFIGURATION
    assert named in error.sentence


@pytest.mark.parametrize(
    ("network", "named"),
    [
        ({"runtimeConfig": {"ips": 1}}, "ips"),
        ({"runtimeConfig": {"ips": [1]}}, "ips.0"),
        ({"runtimeConfig": {"mac": ["02:00:00:00:00:01"]}}, "mac"),
        ({"runtimeConfig": {ANNOTATIONS: [1]}}, "annotations"),
        ({"runtimeConfig": {ANNOTATIONS: {"cni.projectcalico.org/ipAddrs": ["10.0.0.9"]}}}, "ipAddrs"),
        ({"args": {"cni": 5}}, "cni"),
        ({"args": {"cni": {"annotations": {"a": 1}}}}, "annotations.a"),
        ({"prevResult": {"interfaces": True}}, "interfaces"),
        ({"prevResult": {"interfaces": [1]}}, "interfaces.0"),
        ({"prevResult": {"ips": [{"interface": 0}]}}, "address"),
        ({"prevResult": {"ips": [{"address": "10.0.0.1/8", "interface": "0"}]}}, "interface"),
        ({"prevResult": {"routes": {"dst": "0.0.0.0/0"}}}, "routes"),
    ],
)
def test_a_member_of_a_wrong_type_is_code_7_and_named(network: dict[str, Any], named: str) -> None:
    error = refused(call("ADD", CNI_NETNS="/n"), configuration(**network))
    assert (error.code, named in error.sentence) == (Code.INVALID_CONFIGURATION, True), error.sentence


def test_a_member_that_is_null_is_absent() -> None:
    members = "ipam", "args", "runtimeConfig", "prevResult", "mtu", "container_settings"
    assert add_request(**dict.fromkeys(members)).network == add_request().network
    assert add_request(prevResult={"interfaces": None, "ips": None, "routes": None}).network.prev_result


def test_the_configuration_that_calico_is_given_is_understood() -> None:
    recorded = json.loads((CALICO / "add-1.0.0.json").read_text())
    request = parse(recorded["env"] | {"CNI_COMMAND": "ADD"}, json.dumps(recorded["stdin"]).encode())
    assert (request.pod, request.network.ipam.type) == (PodRef("default", "web-3"), "calico-ipam")
