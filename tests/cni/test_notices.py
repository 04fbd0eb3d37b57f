"""Which members of a network's configuration and which annotations of a pod are not obeyed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from cni.install import conflist
from cni.network_config import ANNOTATIONS as POD_ANNOTATIONS
from cni.network_config import NetworkConfig
from cni.notices import (
    ANNOTATIONS,
    KNOWN_ANNOTATIONS,
    NETWORK,
    namespace_notices,
    network_notices,
    pod_notices,
)
from cni.request import CniRequest, parse
from cni.wishes import PREFIX, REFUSED_ANNOTATIONS
from datastore.field_rules import Obeyed
from datastore.kinds.namespace import Namespace
from tests.cni.conftest import call, configuration
from tests.pages import DOCS

# The plugin's part of Calico's manifest.
CALICOS = {
    "type": "calico",
    "log_level": "info",
    "log_file_path": "/var/log/calico/cni/cni.log",
    "datastore_type": "kubernetes",
    "nodename": "n1",
    "mtu": 1440,
    "ipam": {"type": "calico-ipam"},
    "policy": {"type": "k8s"},
    "kubernetes": {"kubeconfig": "/etc/cni/net.d/calico-kubeconfig"},
}


def network(**members: Any) -> NetworkConfig:
    return NetworkConfig.model_validate({"cniVersion": "1.0.0", "name": "pods", **members})


def fields(**members: Any) -> list[str]:
    return [notice.field for notice in network_notices(network(**members))]


def add(annotations: dict[str, str]) -> CniRequest:
    given = configuration(runtimeConfig={POD_ANNOTATIONS: annotations})
    return parse(call("ADD", CNI_NETNS="/run/netns/a"), json.dumps(given).encode())


def test_our_own_configuration_is_obeyed() -> None:
    document = conflist(ipv6=True, mtu=1400, socket=Path("/run/x/cni.sock"), state_dir=Path("/var/lib/x"))
    (plugin,) = document["plugins"]
    assert fields(**plugin) == []


def test_where_host_local_gives_the_addresses_it_reads_the_rest() -> None:
    ipam = {"type": "host-local", "subnet": "usePodCidr", "dataDir": "/x", "ranges": [[{"subnet": "usePodCidrIPv6"}]]}
    assert fields(ipam=ipam) == []
    others = {**ipam, "routes": [{"dst": "10.0.0.0/8"}], "resolvConf": "/etc/resolv.conf", "ipv4_pools": ["pods"]}
    assert fields(ipam=others) == ["ipam.ipv4_pools", "ipam.routes", "ipam.resolvConf"]
    assert fields(ipam={**ipam, "type": "calico-ipam"}) == ["ipam.subnet", "ipam.dataDir", "ipam.ranges"]


def test_a_pod_that_names_pools_is_told_that_host_local_knows_none() -> None:
    pools = {f"{PREFIX}ipv4pools": '["pods"]'}
    given = configuration(runtimeConfig={POD_ANNOTATIONS: pools}, ipam={"type": "host-local"})
    asked = parse(call("ADD", CNI_NETNS="/run/netns/a"), json.dumps(given).encode())
    assert [notice.field for notice in pod_notices(asked)] == [f"{PREFIX}ipv4pools"]
    assert pod_notices(add(pools)) == ()


def test_of_calicos_configuration_what_is_not_obeyed_is_named() -> None:
    assert fields(**CALICOS) == [
        "log_level",
        "log_file_path",
        "datastore_type",
        "nodename",
        "policy",
        "kubernetes",
    ]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"include_default_routes": True, "device_type": "veth", "require_mtu_file": False}, []),
        ({"include_default_routes": False}, ["include_default_routes"]),
        ({"device_type": "netkit"}, ["device_type"]),
        ({"feature_control": {"floating_ips": False, "ip_addrs_no_ipam": "false"}}, []),
        ({"feature_control": {"ip_addrs_no_ipam": True}}, []),
        ({"feature_control": {"floating_ips": True}}, ["feature_control.floating_ips"]),
        ({"feature_control": {"flaoting_ips": True}}, ["feature_control.flaoting_ips"]),
        ({"ipam": {"type": "calico-ipam", "subnet": "usePodCidr"}}, ["ipam.subnet"]),
        ({"ipMasq": True}, ["ipMasq"]),
        ({"runtimeConfig": {"ips": ["10.0.0.9"], "mac": "02:00:00:00:00:01", POD_ANNOTATIONS: {"a": "b"}}}, []),
        ({"runtimeConfig": {"portMappings": [{"hostPort": 80}], "bandwidth": {}}}, ["runtimeConfig.portMappings"]),
        ({"container_settings": {"allow_ip_forwading": True}}, ["container_settings.allow_ip_forwading"]),
    ],
)
def test_members_that_ask_for_something_else_than_is_done(members: dict[str, Any], expected: list[str]) -> None:
    assert fields(**members) == expected


def test_every_member_that_is_read_has_a_rule_and_no_other() -> None:
    def paths(model: type[BaseModel], prefix: str) -> set[str]:
        found = set()
        for name, field in model.model_fields.items():
            found.add(f"{prefix}{field.alias or name}")
            for part in (field.annotation, *get_args(field.annotation)):
                if isinstance(part, type) and issubclass(part, BaseModel):
                    found |= paths(part, f"{prefix}{field.alias or name}.")
        return found

    assert NETWORK.fields.keys() == paths(NetworkConfig, "")
    assert not NETWORK.fields.keys() & NETWORK.other_fields.keys()


def test_the_page_on_the_plugin_has_all_that_is_obeyed_and_what_is_refused() -> None:
    page = (DOCS / "cni.md").read_text()
    names = {f"{PREFIX}{name}" for name in (*KNOWN_ANNOTATIONS, *REFUSED_ANNOTATIONS)}
    sections = {path.partition(".")[0] for path in NETWORK.fields if "." in path}
    names |= NETWORK.fields.keys() - sections - {"type", "args", "runtimeConfig", "prevResult"}  # the specification's
    assert [name for name in sorted(names) if f"`{name}`" not in page] == []


def test_each_other_member_with_a_reason_fires() -> None:
    for path, rule in NETWORK.other_fields.items():
        members: dict[str, Any] = {}
        *sections, name = path.replace("*", "x").split(".") if not path.startswith("cni.dev") else (path,)
        at = members
        for section in sections:
            at = at.setdefault(section, {})
        at[name] = "any value"
        expected = [] if isinstance(rule, Obeyed) else [path.replace("*", "x")]
        assert fields(**members) == expected


def test_annotations_of_a_pod_that_are_not_obeyed_are_named() -> None:
    written = {f"{PREFIX}floatingIPs": '["192.0.2.9"]', f"{PREFIX}ipAddrs": '["10.65.0.9"]', "app": "web"}
    (notice,) = pod_notices(add(written))
    assert (notice.kind, notice.name, notice.field) == ("Pod", "default/web-1", "cni.projectcalico.org/floatingIPs")
    assert pod_notices(add({f"{PREFIX}{name}": "" for name in ANNOTATIONS})) == ()
    assert len(pod_notices(add({f"{PREFIX}{name}": "x" for name in ANNOTATIONS}))) == len(ANNOTATIONS)
    (unknown,) = pod_notices(add({f"{PREFIX}podIP": "10.65.0.9/32", f"{PREFIX}nextYears": "x"}))
    assert (unknown.field, "does not know" in unknown.reason) == ("cni.projectcalico.org/nextYears", True)
    (shaping,) = pod_notices(add({"qos.projectcalico.org/ingressBandwidth": "1M", "qos.projectcalico.org/none": ""}))
    assert (shaping.field, shaping.reason) == ("qos.projectcalico.org/ingressBandwidth", "traffic is not shaped")


def test_annotations_of_a_namespace_that_are_not_obeyed_are_named() -> None:
    pools = {f"{PREFIX}ipv4pools": '["red"]', f"{PREFIX}ipv6pools": '["red6"]', "app": "web"}
    assert namespace_notices(Namespace.make("red", annotations=pools)) == ()
    others = {f"{PREFIX}ipv4Pools": '["red"]', f"{PREFIX}ipAddrs": '["10.65.0.9"]', f"{PREFIX}hwAddr": ""}
    found = namespace_notices(Namespace.make("red", annotations=others))
    assert [(one.kind, one.name, one.field.removeprefix(PREFIX), one.reason) for one in found] == [
        ("Namespace", "red", "ipv4Pools", "this version does not know the field"),
        ("Namespace", "red", "ipAddrs", "it is read from pods only"),
    ]
    (ours,) = namespace_notices(Namespace.make("red", annotations={"felix-py/pools": "red"}))
    assert ours.field == "felix-py/pools"


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.lists(st.text())))
def test_no_configuration_makes_it_fail(members: dict[str, Any]) -> None:
    try:
        given = network(**{key: value for key, value in members.items() if key not in ("name", "cniVersion")})
    except ValueError:
        return
    for notice in network_notices(given):
        assert str(notice).startswith('Network "pods" ')
