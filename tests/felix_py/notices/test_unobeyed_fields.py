"""Every field of every kind is obeyed or yields a notice: a new field cannot be neither."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgp.notices import NODE_CONFIGURATION
from datastore.errors import Invalid
from datastore.field_rules import FieldRules, NotObeyed, Obeyed
from datastore.kinds.bgp import BGPConfiguration
from datastore.kinds.cluster import IMPORT_MARK, ClusterInformation
from datastore.kinds.node import CLAIM, HOST, Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.record import Record, Resource
from datastore.resources import KINDS, read
from felix_py.notices.unobeyed_fields import RULES, notices_of

TABLES: list[tuple[type[Resource], str, FieldRules]] = [
    *((kind, next(iter(rules.read_names), "any"), rules) for kind, rules in RULES.items()),
    (BGPConfiguration, "node.n1", NODE_CONFIGURATION),
]
"""The kind, the name of an object that the rules are for, and the rules."""

SECRET = {"secretKeyRef": {"name": "bgp", "key": "password"}}
MAY_BE_MISSING = {"secretKeyRef": {**SECRET["secretKeyRef"], "optional": True}}
CLUSTER_IPS = [{"cidr": "10.96.0.0/12"}]
ADVERTISED = [{"cidr": "10.65.0.0/16", "communities": ["64512:1"]}]

NEEDED: Mapping[str, dict[str, Any]] = {
    "IPPool": {"cidr": "10.65.0.0/16"},
    "BGPPeer": {"peerIP": "192.0.2.9"},
    "IPAMConfig": {"strictAffinity": False, "autoAllocateBlocks": True},
    "BlockAffinity": {"state": "confirmed", "node": "n1", "cidr": "10.65.0.0/32", "deleted": "false"},
    "IPAMBlock": {
        "cidr": "10.65.0.0/32", "strictAffinity": False, "allocations": [0], "unallocated": [], "attributes": [{}],
    },
    "IPAMHandle": {"handleID": "h", "block": {}},
    "WorkloadEndpoint": {"node": "n1"},
}  # fmt: skip
"""What a kind's spec must have, none of which is noticed."""

NOTICED: Mapping[str, dict[str, dict[str, Any]]] = {
    "IPPool": {
        "vxlanMode": {"vxlanMode": "Always"},
        "namespaceSelector": {"namespaceSelector": "has(team)", "allowedUses": ["Workload"]},
        "allowedUses": {"allowedUses": ["LoadBalancer"]},
    },
    "IPAMConfig": {"kubeVirtVMAddressPersistence": {"kubeVirtVMAddressPersistence": "Enabled"}},
    "IPAMBlock": {
        "strictAffinity": {"strictAffinity": True},
        "attributes.alternateOwnerAttrs": {"attributes": [{"alternateOwnerAttrs": {"pod": "b"}}]},
    },
    "BGPPeer": {
        "keepOriginalNextHop": {"keepOriginalNextHop": True},
        "nextHopMode": {"nextHopMode": "Keep"},
        "password.secretKeyRef.key": {"password": SECRET},
        "password.secretKeyRef.optional": {"password": MAY_BE_MISSING},
        "maxRestartTime": {"maxRestartTime": "2h"},
        "keepaliveTime": {"keepaliveTime": "500ms"},
        "reachableBy": {"peerIP": "2001:db8::9", "reachableBy": "fe80::1"},
        "filters": {"filters": ["reject-all"]},
        "localWorkloadSelector": {"peerIP": None, "asNumber": 64513, "localWorkloadSelector": "all()"},
    },
    "BGPConfiguration": {
        "logSeverityScreen": {"logSeverityScreen": "Debug"},
        "serviceClusterIPs": {"serviceClusterIPs": CLUSTER_IPS},
        "serviceExternalIPs": {"serviceExternalIPs": CLUSTER_IPS},
        "serviceLoadBalancerIPs": {"serviceLoadBalancerIPs": CLUSTER_IPS},
        "serviceLoadBalancerAggregation": {"serviceLoadBalancerAggregation": "Disabled"},
        "communities": {
            "communities": [{"name": "own", "value": "64512:1"}],
            "prefixAdvertisements": [{"cidr": "10.65.0.0/16"}],
        },
        "prefixAdvertisements": {"prefixAdvertisements": ADVERTISED},
        "nodeMeshPassword.secretKeyRef.key": {"nodeMeshPassword": SECRET},
        "nodeMeshPassword.secretKeyRef.optional": {"nodeMeshPassword": MAY_BE_MISSING},
        "nodeMeshMaxRestartTime": {"nodeMeshMaxRestartTime": "0s"},
        "bindMode": {"bindMode": "None"},
        "ignoredInterfaces": {"ignoredInterfaces": ["eth9"]},
        "localWorkloadPeeringIPV4": {"localWorkloadPeeringIPV4": "169.254.1.9"},
        "localWorkloadPeeringIPV6": {"localWorkloadPeeringIPV6": "fe80::9"},
        "programClusterRoutes": {"programClusterRoutes": "Disabled"},
        "ipv4NormalRoutePriority": {"ipv4NormalRoutePriority": 100},
        "ipv6NormalRoutePriority": {"ipv6NormalRoutePriority": 100},
    },
    "FelixConfiguration": {
        "logSeverityScreen": {"logSeverityScreen": "Loud"},
        "interfacePrefix": {"interfacePrefix": "eni"},
        "routeRefreshInterval": {"routeRefreshInterval": "90s"},
        "ipv6Support": {"ipv6Support": False},
        "natOutgoingAddress": {"natOutgoingAddress": "fd00::1"},
        "natPortRange": {"natPortRange": "2000:1000"},
        "natOutgoingExclusions": {"natOutgoingExclusions": "Nothing"},
        "externalNodesList": {"externalNodesList": ["anyone"]},
        "iptablesNATOutgoingInterfaceFilter": {"iptablesNATOutgoingInterfaceFilter": "eth+0"},
        "ipForwarding": {"ipForwarding": "Disabled"},
        "deviceRouteProtocol": {"deviceRouteProtocol": 3},
        "healthEnabled": {"healthEnabled": False},
        "healthHost": {"healthHost": "0.0.0.0"},
        "healthPort": {"healthPort": 9100},
        "prometheusMetricsEnabled": {"prometheusMetricsEnabled": False},
        "prometheusMetricsHost": {"prometheusMetricsHost": "0.0.0.0"},
        "prometheusMetricsPort": {"prometheusMetricsPort": 9091},
    },
    "WorkloadEndpoint": {
        "ipv4Gateway": {"ipv4Gateway": "10.65.0.1"},
        "ipv6Gateway": {"ipv6Gateway": "fd00::1"},
        "profiles": {"profiles": ["kns.default", "open"]},
        "allowedSourcePrefixes": {"allowedSourcePrefixes": ["10.66.0.0/16"]},
    },
}
"""By kind and noticed field, a spec that makes it fire."""

OTHERS_BESIDE = {
    ("IPPool", "namespaceSelector"): set[str](),
    ("BGPConfiguration", "communities"): {"prefixAdvertisements"},
    ("BGPConfiguration", "nodeMeshPassword.secretKeyRef.optional"): {"nodeMeshPassword.secretKeyRef.key"},
    ("BGPPeer", "password.secretKeyRef.optional"): {"password.secretKeyRef.key"},
}
"""Noticed fields that such a spec must have as well."""


def model_paths(model: type[Record], path: str, rules: Mapping[str, object]) -> Iterator[str]:
    """Yield every field of a model by its path; what is nested below a noticed field is covered by that."""
    for name, field in model.model_fields.items():
        below = f"{path}.{field.alias or name}"
        yield below
        if not isinstance(rules.get(below), NotObeyed):
            for part in records_in(field.annotation):
                yield from model_paths(part, below, rules)


def records_in(annotation: Any) -> Iterator[type[Record]]:
    """Yield the nested models that a type is made of: `tuple[Rule, ...]`, `Password | None`."""
    if isinstance(annotation, type) and issubclass(annotation, Record):
        yield annotation
    for part in get_args(annotation):
        yield from records_in(part)


def make(kind: type[Resource], name: str, spec: Mapping[str, Any]) -> Resource:
    return kind.make(name, "default" if kind.NAMESPACED else None, **{**NEEDED.get(kind.KIND, {}), **spec})


def test_every_kind_has_rules() -> None:
    assert RULES.keys() == set(KINDS.values())


@pytest.mark.parametrize(("kind", "name", "rules"), TABLES, ids=lambda value: getattr(value, "KIND", None))
def test_every_field_is_obeyed_or_noticed_and_no_other_is_named(
    kind: type[Resource], name: str, rules: FieldRules
) -> None:
    del name
    fields = () if rules.whole else set(model_paths(kind.SPEC, "spec", rules.fields))
    assert rules.fields.keys() == set(fields)
    assert not rules.other_fields.keys() & rules.fields.keys()


def test_the_walk_over_models_finds_nested_fields() -> None:
    """Else the test above would pass for fields it does not see."""
    found = set(model_paths(KINDS["BGPPeer"].SPEC, "spec", {}))
    assert {"spec.password", "spec.password.secretKeyRef", "spec.password.secretKeyRef.key"} <= found
    assert "spec.importV4.operations.addCommunity.value" in set(model_paths(KINDS["BGPFilter"].SPEC, "spec", {}))


@pytest.mark.parametrize(("kind", "name", "rules"), TABLES, ids=lambda value: getattr(value, "KIND", None))
def test_each_notice_fires_alone(kind: type[Resource], name: str, rules: FieldRules) -> None:
    if rules.whole:
        assert [notice.field for notice in notices_of(make(kind, name, {}))] == [""]
    noticed = {path.removeprefix("spec.") for path, rule in rules.fields.items() if isinstance(rule, NotObeyed)}
    assert NOTICED.get(kind.KIND, {}).keys() == noticed
    for field, spec in NOTICED.get(kind.KIND, {}).items():
        found = {notice.field.removeprefix("spec.") for notice in notices_of(make(kind, name, spec))}
        assert found == {field} | OTHERS_BESIDE.get((kind.KIND, field), set())


@pytest.mark.parametrize(("kind", "name", "rules"), TABLES, ids=lambda value: getattr(value, "KIND", None))
def test_each_value_that_is_excepted_yields_nothing(kind: type[Resource], name: str, rules: FieldRules) -> None:
    for path, rule in {**rules.fields, **rules.other_fields}.items():
        for value in rule.unless if isinstance(rule, NotObeyed) else ():
            assert notices_of(make(kind, name, {path.removeprefix("spec."): value})) == (), (path, value)


@pytest.mark.parametrize(("kind", "name", "rules"), TABLES, ids=lambda value: getattr(value, "KIND", None))
def test_fields_that_only_calicos_model_has_are_noticed_with_a_reason(
    kind: type[Resource], name: str, rules: FieldRules
) -> None:
    for path, rule in rules.other_fields.items():
        written = path.removeprefix("spec.").replace("*", "Something")
        found = notices_of(make(kind, name, {written: "any value"}))
        expected = [] if isinstance(rule, Obeyed) else [(f"spec.{written}", rule.reason)]
        assert [(notice.field, notice.reason) for notice in found] == expected


def test_what_a_node_has_of_kubernetes_is_no_slip() -> None:
    node = Node.read({"metadata": {"name": "n1"}, "spec": {"taints": [], "providerID": "kind://n1"}, "status": {}})
    assert notices_of(node) == ()
    (notice,) = notices_of(node.with_data(RouteReflectorClusterID="244.0.0.1"))
    assert notice.field == "projectcalico.org/RouteReflectorClusterID"


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {WorkloadEndpoint.KIND}))
def test_an_annotation_of_ours_that_nothing_reads_is_noticed_whatever_the_kind(kind: str) -> None:
    written = make(KINDS[kind], "default", {})
    slip = written.with_metadata(annotations={"felix-py/no-such": "x", "example.org/other": "x"})
    more = [one for one in notices_of(slip) if one not in notices_of(written)]
    assert [one.field for one in more] == ["metadata.annotations[felix-py/no-such]"]


@pytest.mark.parametrize(
    "written",
    [
        Node.make("n1", annotations={HOST: "disk-1 boot-1", CLAIM: "box-2 disk-2 boot-2 77"}),
        ClusterInformation.make("default", annotations={IMPORT_MARK: "incomplete"}),
    ],
    ids=lambda written: written.KIND,
)
def test_an_annotation_that_we_write_ourselves_yields_nothing(written: Resource) -> None:
    assert notices_of(written) == ()


def test_an_endpoint_as_our_plugin_writes_it_yields_nothing() -> None:
    endpoint = WorkloadEndpoint.make(
        "n1-k8s-a-eth0", "default", node="n1", pod="a", profiles=["kns.default"], ipNetworks=["10.65.0.1/32"]
    )
    assert notices_of(endpoint) == ()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    """Records of any kind: fields that fire, fields of any value, unknown fields anywhere."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    spec = {**NEEDED.get(kind, {})}
    for written in draw(st.lists(st.sampled_from([*NOTICED.get(kind, {}).values(), {}]), max_size=3)):
        spec |= written
    names = [field.alias or name for name, field in KINDS[kind].SPEC.model_fields.items()]
    spec |= draw(st.dictionaries(st.sampled_from([*names, "other"]), json_values, max_size=1))
    spec |= draw(st.dictionaries(st.text(), json_values, max_size=2))
    metadata = {"name": draw(st.sampled_from(["default", "node.n1", "any"])), "namespace": "default"}
    return {
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
        **draw(st.dictionaries(st.text(), json_values, max_size=1)),
    }


@given(records())
def test_no_object_that_can_be_read_makes_it_fail(record: dict[str, Any]) -> None:
    try:
        resource = read(record)
    except Invalid:
        return
    for notice in notices_of(resource):
        assert str(notice).startswith(f'{resource.KIND} "')
        assert notice.reason and notice.effect and not notice.effect.endswith(".")
