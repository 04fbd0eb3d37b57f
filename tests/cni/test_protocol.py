"""Requests, results and errors, against the specification and against what Calico 3.32.1 prints."""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cni.notices import network_notices, pod_notices
from cni.protocol import (
    ANNOTATIONS,
    VERSIONS,
    Attachment,
    CniError,
    CniInterface,
    CniRequest,
    CniResult,
    Code,
    PodRef,
    address_request,
    addresses_of,
    describe,
    encode_reply,
    hardware_address,
    parse,
    render,
    unpack_request,
    version_answer,
)
from tests.cni.conftest import CONTAINER, call, configuration

CALICO = Path(__file__).parents[1] / "fixtures" / "calico" / "cni"


def add(**network: Any) -> CniRequest:
    return parse(call("ADD", CNI_NETNS="/run/netns/a"), json.dumps(configuration(**network)).encode())


def refused(environment: dict[str, str], stdin: Any) -> CniError:
    data = stdin if isinstance(stdin, bytes) else json.dumps(stdin).encode()
    with pytest.raises(CniError) as caught:
        parse(environment, data)
    return caught.value


RESULT = CniResult(
    host=CniInterface("cali0761ccbeace", "ee:ee:ee:ee:ee:ee", 1500),
    container=CniInterface("eth0", "66:ae:5c:b2:05:70", 1500, "/var/run/netns/web-1"),
    addresses=(ip_address("10.65.84.128"),),
    gateways=(ip_address("169.254.1.1"),),
)


def test_a_request_of_the_runtime_is_read() -> None:
    request = add(mtu=1400)
    assert request.attachment == Attachment("k8s-pod-network", CONTAINER, "eth0")
    assert request.attachment.handle == f"k8s-pod-network.{CONTAINER}"
    assert request.pod == PodRef("default", "web-1")
    assert (request.netns, request.network.mtu, request.version) == ("/run/netns/a", 1400, "1.1.0")


def test_a_container_without_a_pod_is_a_pod_of_its_own() -> None:
    environment = call("ADD", CNI_NETNS="/n", CNI_ARGS="", CNI_CONTAINERID="Box.1")
    assert parse(environment, json.dumps(configuration()).encode()).pod == PodRef("default", "Box.1")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"CNI_COMMAND": "FLY"}, "FLY"),
        ({"CNI_CONTAINERID": ""}, "CNI_CONTAINERID"),
        ({"CNI_IFNAME": ""}, "CNI_IFNAME"),
        ({"CNI_NETNS": ""}, "CNI_NETNS"),
        ({"CNI_CONTAINERID": "a/b"}, "a/b"),
        ({"CNI_CONTAINERID": "-a"}, "-a"),
        ({"CNI_IFNAME": "a b"}, "a b"),
        ({"CNI_IFNAME": ".."}, ".."),
        ({"CNI_IFNAME": "eth%d"}, "eth%d"),
        ({"CNI_CONTAINERID": "c" * 4000}, "a device's label has room for 249"),
        ({"CNI_IFNAME": "sixteen-letters-"}, "sixteen-letters-"),
        ({"CNI_IFNAME": "ääääääää"}, "ääääääää"),
        ({"CNI_ARGS": "IP"}, "IP"),
        ({"CNI_ARGS": "IP=1=2"}, "IP=1=2"),
        ({"CNI_ARGS": "COLOUR=red"}, "COLOUR"),
    ],
)
def test_a_bad_environment_is_code_4_and_names_the_variable(change: dict[str, str], named: str) -> None:
    error = refused(call("ADD", CNI_NETNS="/n") | change, configuration())
    assert error.code == Code.INVALID_ENVIRONMENT
    assert named in error.sentence


@pytest.mark.parametrize("stdin", [b"", b"{", b"[]", b"\xff", b"null", b'{"cniVersion": 1, "name": "n"}'])
def test_what_is_no_json_object_is_code_6(stdin: bytes) -> None:
    assert refused(call("ADD", CNI_NETNS="/n"), stdin).code == Code.UNDECODABLE


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0", "0.3.0", "1.2.0", "2.0.0", "", "one"])
def test_an_unsupported_version_is_code_1(version: str) -> None:
    assert refused(call("ADD", CNI_NETNS="/n"), configuration(version)).code == Code.INCOMPATIBLE_VERSION


def test_no_version_at_all_is_the_oldest() -> None:
    assert refused(call("ADD", CNI_NETNS="/n"), {"name": "n"}).code == Code.INCOMPATIBLE_VERSION


@pytest.mark.parametrize(
    ("verb", "version"), [("CHECK", "0.3.1"), ("STATUS", "1.0.0"), ("GC", "1.0.0"), ("GC", "0.3.1")]
)
def test_a_verb_older_than_itself_is_code_1(verb: str, version: str) -> None:
    assert refused(call(verb, CNI_NETNS="/n"), configuration(version)).code == Code.INCOMPATIBLE_VERSION


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
    assert add(**dict.fromkeys(members)).network == add().network
    assert add(prevResult={"interfaces": None, "ips": None, "routes": None}).network.prev_result


@pytest.mark.parametrize(
    "member",
    [
        b"[" * 200_000 + b"]" * 200_000,
        b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
        b"[" * 500 + b"]" * 500,
        b'"\\uD800"',
        b"NaN",
        b'"\xff"',
        b"1" * 5000,
    ],
)
@pytest.mark.parametrize("verb", ["ADD", "CHECK"])
def test_json_that_no_runtime_writes_is_code_6(verb: str, member: bytes) -> None:
    stdin = b'{"cniVersion":"1.0.0","name":"net","x":' + member + b"}"
    assert refused(call(verb, CNI_NETNS="/n"), stdin).code == Code.UNDECODABLE


@pytest.mark.parametrize(
    "environment",
    [{"CNI_IFNAME": "eth\udcff"}, {"CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAME=\udcff"}, {"CNI_CONTAINERID": "\udcff"}],
)
def test_bytes_that_are_no_text_are_code_4(environment: dict[str, str]) -> None:
    assert refused(call("ADD", CNI_NETNS="/n") | environment, configuration()).code == Code.INVALID_ENVIRONMENT


@pytest.mark.parametrize("verb", ["DEL", "GC"])
@pytest.mark.parametrize(
    "network",
    [
        {"cniVersion": "1.1.0"},
        {"cniVersion": "9.0"},
        {"mtu": "big", "ipam": {"type": "host-local"}, "runtimeConfig": 1, "prevResult": [], "args": True},
        {"prevResult": {"interfaces": True}},
    ],
)
def test_a_mistake_in_the_configuration_holds_up_no_del(verb: str, network: dict[str, Any]) -> None:
    request = parse(call(verb), json.dumps({"cniVersion": "1.1.0", "name": "net"} | network).encode())
    assert request.attachment[0] == "net"


@pytest.mark.parametrize(
    "environment",
    [{"CNI_IFNAME": "eth\udcff"}, {"CNI_IFNAME": "sixteen-letters-"}, {"CNI_ARGS": "A;B=\udcff;K8S_POD_NAME=web-1"}],
)
def test_a_name_that_no_add_could_have_been_given_holds_up_no_del(environment: dict[str, str]) -> None:
    request = parse(call("DEL") | environment, json.dumps(configuration()).encode())
    assert request.pod == PodRef("default", "web-1")
    describe(request.attachment, request.pod).encode()


def test_a_del_needs_the_networks_name() -> None:
    assert refused(call("DEL"), {"cniVersion": "1.0.0"}).code == Code.INVALID_CONFIGURATION


def test_the_configuration_that_calico_is_given_is_understood() -> None:
    recorded = json.loads((CALICO / "add-1.0.0.json").read_text())
    request = parse(recorded["env"] | {"CNI_COMMAND": "ADD"}, json.dumps(recorded["stdin"]).encode())
    assert (request.pod, request.network.ipam.type) == (PodRef("default", "web-3"), "calico-ipam")


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


def test_pools_come_from_the_pods_annotations_before_the_network() -> None:
    network = {"ipam": {"ipv4_pools": ["network"]}}
    assert address_request(add(**network)).ipv4_pools == ("network",)
    annotations = {"cni.projectcalico.org/ipv4pools": '["pod"]', "cni.projectcalico.org/ipv6pools": '["six"]'}
    by_runtime = address_request(add(**network, runtimeConfig={ANNOTATIONS: annotations}))
    by_args = address_request(add(**network, args={"cni": {"annotations": annotations}}))
    assert by_runtime == by_args
    assert (by_runtime.ipv4_pools, by_runtime.ipv6_pools) == (("pod",), ("six",))


def test_pools_of_the_namespace_come_after_the_pods_and_before_the_networks_in_each_family() -> None:
    prefix = "cni.projectcalico.org/"
    asked = replace(
        add(
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
    assert (address_request(add()).ipv4, address_request(add()).ipv6) == (1, 0)
    dual = address_request(add(ipam={"assign_ipv4": "true", "assign_ipv6": "true"}))
    assert (dual.ipv4, dual.ipv6, dual.ipv6_first) == (1, 1, False)
    first = address_request(add(runtimeConfig={ANNOTATIONS: {"cni.projectcalico.org/ipFamilies": '["IPv6","IPv4"]'}}))
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
    assert address_request(add(**network)).addresses == (ip_address("10.0.0.9"),)


@pytest.mark.parametrize(
    "network",
    [
        {"runtimeConfig": {ANNOTATIONS: {"cni.projectcalico.org/ipv4pools": "pool1"}}},
        {"runtimeConfig": {ANNOTATIONS: {"cni.projectcalico.org/ipv4pools": "[1]"}}},
        {"runtimeConfig": {ANNOTATIONS: {"cni.projectcalico.org/ipFamilies": '["IPv5"]'}}},
        {"runtimeConfig": {ANNOTATIONS: {"cni.projectcalico.org/ipAddrsNoIpam": '["10.0.0.9"]'}}},
        {"runtimeConfig": {ANNOTATIONS: {"cni.projectcalico.org/floatingIPs": '["10.0.0.9"]'}}},
        {"runtimeConfig": {"ips": ["10.0.0.999"]}},
        {"ipam": {"assign_ipv4": "false"}},
    ],
)
def test_a_wish_that_cannot_be_understood_is_code_7(network: dict[str, Any]) -> None:
    with pytest.raises(CniError) as caught:
        address_request(add(**network))
    assert caught.value.code == Code.INVALID_CONFIGURATION


def test_a_mac_can_be_asked_for_unless_no_device_can_have_it() -> None:
    assert hardware_address(add(runtimeConfig={"mac": "C2:B0:57:49:47:F1"})) == "c2:b0:57:49:47:f1"
    with pytest.raises(CniError):
        hardware_address(add(runtimeConfig={"mac": "01:00:5e:00:00:01"}))


def gc(**members: Any) -> CniRequest:
    return parse({"CNI_COMMAND": "GC", "CNI_PATH": "/opt/cni/bin"}, json.dumps(configuration(**members)).encode())


def test_gc_tells_a_missing_list_from_an_empty_one() -> None:
    assert gc().valid_attachments is None
    assert gc(**{"cni.dev/valid-attachments": []}).valid_attachments == frozenset()
    wanted = [{"containerID": "a", "ifname": "eth0"}]
    assert gc(**{"cni.dev/valid-attachments": wanted}).valid_attachments == frozenset({("a", "eth0")})
    assert gc(**{"cni.dev/attachments": wanted}).valid_attachments == frozenset({("a", "eth0")})


def test_an_empty_list_of_gos_may_be_null() -> None:
    assert gc(**{"cni.dev/valid-attachments": None}).valid_attachments == frozenset()
    assert gc(**{"cni.dev/attachments": None}).valid_attachments == frozenset()


@pytest.mark.parametrize("listed", [[{"containerId": "a"}], {}, "", False, 0, [{"containerID": 1, "ifname": "eth0"}]])
def test_a_malformed_list_never_counts_as_empty(listed: Any) -> None:
    with pytest.raises(CniError):
        gc(**{"cni.dev/valid-attachments": listed})


def test_version_needs_no_configuration() -> None:
    request = parse({"CNI_COMMAND": "VERSION"}, b'{"cniVersion": "0.4.0"}')
    assert version_answer(request.version) == {"cniVersion": "0.4.0", "supportedVersions": list(VERSIONS)}


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


@given(
    st.dictionaries(st.text("ABC_", min_size=1), st.text(st.characters(exclude_characters="\0", codec="utf-8"))),
    st.binary(),
)
def test_what_the_shim_packs_is_unpacked(environment: dict[str, str], stdin: bytes) -> None:
    environment = {"CNI_COMMAND": "ADD"} | environment
    packed = b"".join(f"{key}={value}\0".encode("utf-8", "surrogateescape") for key, value in environment.items())
    assert unpack_request(packed + b"\0" + stdin) == (environment, stdin)


def test_an_answer_ends_with_a_newline_and_holds_none_before() -> None:
    assert encode_reply(0, None) == b"\0\n"
    assert encode_reply(1, {"msg": "two\nlines"}).count(b"\n") == 1
