"""Variables that are set and not read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from felix_py.configuration.settings import settings_from, variables
from felix_py.configuration.unread_variables import CALICOS, READ_ELSEWHERE, unread_variables

# What the manifest of Calico sets for calico-node.
MANIFEST = {
    "DATASTORE_TYPE": "kubernetes",
    "WAIT_FOR_DATASTORE": "true",
    "NODENAME": "n1",
    "CALICO_NETWORKING_BACKEND": "bird",
    "CLUSTER_TYPE": "k8s,bgp",
    "IP": "autodetect",
    "CALICO_IPV4POOL_IPIP": "Always",
    "CALICO_IPV4POOL_VXLAN": "Never",
    "FELIX_IPINIPMTU": "1440",
    "FELIX_VXLANMTU": "1410",
    "FELIX_WIREGUARDMTU": "0",
    "CALICO_DISABLE_FILE_LOGGING": "true",
    "FELIX_DEFAULTENDPOINTTOHOSTACTION": "ACCEPT",
    "FELIX_IPV6SUPPORT": "false",
    "FELIX_HEALTHENABLED": "true",
}


def names(environment: dict[str, str]) -> list[str]:
    return [notice.name for notice in unread_variables(environment, variables())]


def test_of_calicos_manifest_exactly_what_is_not_obeyed_is_noticed() -> None:
    assert names(MANIFEST) == ["DATASTORE_TYPE", "FELIX_IPV6SUPPORT", "FELIX_VXLANMTU"]


@pytest.mark.parametrize(
    ("store", "given", "noticed"),
    [
        ("", {"DATASTORE_TYPE": "kubernetes", "KUBECONFIG": "/k", "K8S_CURRENT_CONTEXT": "a"}, []),
        ("", {"DATASTORE_TYPE": "kubernetes", "ETCD_ENDPOINTS": "http://e:2379"}, ["ETCD_ENDPOINTS"]),
        ("", {"CALICO_KUBECONFIG": "/k", "KUBECONFIG": "/other"}, ["KUBECONFIG"]),
        ("", {"KUBECONFIG": "/k", "K8S_API_ENDPOINT": "https://a"}, ["K8S_API_ENDPOINT", "KUBECONFIG"]),
        ("kubernetes://", {"DATASTORE_TYPE": "kubernetes", "KUBECONFIG": "/k"}, []),
        ("kubernetes:///k", {"DATASTORE_TYPE": "kubernetes", "KUBECONFIG": "/other"}, ["KUBECONFIG"]),
        (
            "kubernetes://",
            {"DATASTORE_TYPE": "etcdv3", "K8S_CURRENT_CONTEXT": "a"},
            ["DATASTORE_TYPE", "K8S_CURRENT_CONTEXT"],
        ),
        ("", {"DATASTORE_TYPE": "kubernetes", "CALICO_API_GROUP": "projectcalico.org/v3"}, []),
        ("kubernetes:///k", {"CALICO_API_GROUP": "projectcalico.org/v3"}, []),
        (
            "kubernetes://?group=crd.projectcalico.org/v1",
            {"CALICO_API_GROUP": "projectcalico.org/v3"},
            ["CALICO_API_GROUP"],
        ),
        ("sqlite:///c.db", {"CALICO_API_GROUP": "projectcalico.org/v3"}, ["CALICO_API_GROUP"]),
        (
            "sqlite:///c.db",
            {"DATASTORE_TYPE": "kubernetes", "CALICO_KUBECONFIG": "/k"},
            ["CALICO_KUBECONFIG", "DATASTORE_TYPE"],
        ),
    ],
)
def test_of_the_variables_for_the_datastore_those_that_are_not_obeyed_are_noticed(
    store: str, given: dict[str, str], noticed: list[str]
) -> None:
    settings = settings_from({"FELIX_DATASTORE": store, **given})
    assert [notice.name for notice in settings.notices] == noticed


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("FELIX_METRICK", "7", "no setting of this name is known"),
        ("FELIX_DEBUGPORT", "6060", "no setting of this name is known"),
        ("FELIX_DEBUG_PORT", "6060", "no setting of this name is known"),
        ("CALICO_IPV4POOL_SIZE", "26", "no setting of this name is known"),
        ("FELIX_IPTABLESBACKEND", "NFT", "policies are not enforced"),
        ("felix_vxlanenabled", "true", "VXLAN is not implemented"),
        ("FELIX_BPFLOGLEVEL", "Debug", "eBPF is not implemented"),
        ("CALICO_ADVERTISE_CLUSTER_IPS", "10.96.0.0/12", "services are not announced"),
        ("FELIX_TYPHAK8SSERVICENAME", "calico-typha", "every agent asks the datastore itself"),
        ("FELIX_LOGSEVERITYSYS", "info", "logs go to standard error only"),
        ("FELIX_IPIPMTU", "1400", "it is read from FelixConfiguration only"),
        ("CALICO_NETWORKING_BACKEND", "vxlan", "routes are exchanged by BGP"),
    ],
)
def test_the_reason_is_said(name: str, value: str, reason: str) -> None:
    (notice,) = unread_variables({name: value}, variables())
    assert (notice.kind, notice.name, notice.reason) == ("Setting", name, reason)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WAIT_FOR_DATASTORE", "true"),
        ("FELIX_TYPHAK8SSERVICENAME", "none"),
        ("FELIX_LOGSEVERITYSYS", "none"),
        ("FELIX_LOGFILEPATH", "None"),
        ("CALICO_MANAGE_CNI", "False"),
        ("FELIX_IPTABLESBACKEND", "auto"[:0]),
        ("FELIX_VXLANENABLED", "false"),
        ("FELIX_CONFIG", "/etc/felix.cfg"),
        ("FELIX_LAB", "n1"),
        ("PATH", "/usr/bin"),
        ("CALICO_TYPHA_SERVICE_HOST", "10.96.0.9"),
        ("CALICO_TYPHA_SERVICE_PORT_CALICO_TYPHA", "5473"),
        ("CALICO_TYPHA_PORT", "tcp://10.96.0.9:5473"),
        ("CALICO_TYPHA_PORT_5473_TCP_ADDR", "10.96.0.9"),
    ],
)
def test_what_asks_for_what_is_done_anyway_or_is_no_setting_yields_nothing(name: str, value: str) -> None:
    assert names({name: value}) == []


def test_a_setting_is_not_unread() -> None:
    assert names(dict.fromkeys(variables(), "x")) == []
    assert not variables().keys() & (CALICOS.keys() | READ_ELSEWHERE)


@given(st.dictionaries(st.sampled_from([*CALICOS, "FELIX_X", "FELIX_VXLANVNI"]) | st.text(), st.text()))
def test_no_environment_makes_it_fail(environment: dict[str, str]) -> None:
    for notice in unread_variables(environment, ()):
        assert str(notice).startswith('Setting "')
