"""A call of the plugin, against the specification: read, or refused with its code."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cni.attachment import Attachment, PodRef, describe
from cni.errors import CniError, Code
from cni.request import MOST_KEPT_BYTES, VERSIONS, CniRequest, parse
from cni.result import version_answer
from tests.cni.conftest import CONTAINER, add_request, call, configuration, refused


def test_a_request_of_the_runtime_is_read() -> None:
    request = add_request(mtu=1400)
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


@pytest.mark.parametrize("name", ["", ', "name": "no name"', ', "name": "\\u0000"', ', "name": [5]'])
def test_version_needs_no_configuration(name: str) -> None:
    request = parse({"CNI_COMMAND": "VERSION"}, f'{{"cniVersion": "0.4.0"{name}}}'.encode())
    assert version_answer(request.version) == {"cniVersion": "0.4.0", "supportedVersions": list(VERSIONS)}


def test_calls_with_the_same_configuration_share_it_and_others_do_not() -> None:
    one, other = (call(verb, CNI_NETNS="/n") for verb in ("ADD", "CHECK"))
    stdin = json.dumps(configuration()).encode()
    first, again = parse(one, stdin), parse(one | {"CNI_CONTAINERID": "c2"}, stdin)
    assert first.network is again.network and first.document is again.document
    assert (first.attachment.container_id, again.attachment.container_id) == (CONTAINER, "c2")
    assert parse(one, json.dumps(configuration(mtu=1300)).encode()).network.mtu == 1300
    assert parse(other, stdin).verb == "CHECK"


def test_a_configuration_that_is_refused_is_refused_again() -> None:
    for _ in range(2):
        assert refused(call("ADD", CNI_NETNS="/n"), configuration(mtu=-1)).code == Code.INVALID_CONFIGURATION


def test_what_is_large_or_differs_with_each_call_is_not_kept() -> None:
    large = json.dumps(configuration(note="x" * MOST_KEPT_BYTES)).encode()
    gc = json.dumps(configuration() | {"cni.dev/valid-attachments": []}).encode()
    for verb, stdin in (("ADD", large), ("GC", gc)):
        first, again = (parse(call(verb, CNI_NETNS="/n"), stdin) for _ in range(2))
        assert first == again and first.document is not again.document
