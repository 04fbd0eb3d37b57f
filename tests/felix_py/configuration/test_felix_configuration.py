"""Felix's fields: what of them is obeyed."""

from __future__ import annotations

from typing import Any

import pytest

from datastore.kinds.cluster import FelixConfiguration
from felix_py.configuration.felix_configuration import RULES, log_level_for


def fields(name: str = "default", **spec: Any) -> list[str]:
    return [notice.field for notice in RULES.notices(FelixConfiguration.make(name, **spec))]


def test_what_start_up_writes_asks_for_nothing() -> None:
    assert fields(reportingInterval="0s", logSeverityScreen="Info", floatingIPs="Disabled") == []


def test_the_mtu_of_ipip_is_obeyed() -> None:
    assert fields(ipipMTU=1400) == fields("node.n1", ipipMTU=1400) == []


def test_the_options_of_nat_are_obeyed() -> None:
    assert fields(natOutgoingAddress="192.0.2.77", natPortRange="1024:65535") == []
    assert fields(natPortRange=5000, natOutgoingExclusions="IPPoolsAndHostIPs") == []
    assert fields(iptablesNATOutgoingInterfaceFilter="eth+") == []


@pytest.mark.parametrize("text", ["Debug", "info", "WARNING", "Trace", "Fatal", "None"])
def test_a_log_level_is_obeyed(text: str) -> None:
    assert fields(logSeverityScreen=text) == []


def test_the_nodes_own_log_level_goes_before_the_clusters() -> None:
    cluster = {"default": FelixConfiguration.make("default", logSeverityScreen="Warning")}
    node = {"node.n1": FelixConfiguration.make("node.n1", logSeverityScreen="Trace")}
    assert log_level_for("n1", {}) == log_level_for("n1", {"default": FelixConfiguration.make("default")}) == "INFO"
    assert log_level_for("n1", cluster | {"node.n1": FelixConfiguration.make("node.n1")}) == "WARNING"
    assert log_level_for("n1", cluster | node) == "DEBUG"
    assert log_level_for("n2", cluster | node) == "WARNING"


@pytest.mark.parametrize(
    "spec",
    [
        {"logSeverityScreen": "Loud"},
        {"interfacePrefix": "eni"},
        {"routeRefreshInterval": "90s"},
        {"ipv6Support": False},
        {"natOutgoingAddress": "fd00::1"},
        {"natPortRange": "2000:1000"},
        {"natOutgoingExclusions": "Nothing"},
        {"iptablesNATOutgoingInterfaceFilter": "eth+0"},
        {"ipForwarding": "Disabled"},
        {"deviceRouteProtocol": 3},
        {"healthEnabled": False},
        {"healthHost": "0.0.0.0"},
        {"healthPort": 9100},
        {"prometheusMetricsEnabled": True},
        {"prometheusMetricsHost": "10.0.0.1"},
        {"prometheusMetricsPort": 9091},
        {"vxlanVNI": 4096},
        {"wireguardEnabled": True},
        {"bpfLogLevel": "Debug"},
        {"noSuchField": 1},
    ],
)
def test_what_is_not_obeyed_yields_a_notice(spec: dict[str, Any]) -> None:
    assert fields(**spec) == [f"spec.{name}" for name in spec]


@pytest.mark.parametrize(
    "spec", [{"healthHost": "localhost"}, {"ipv6Support": True}, {"wireguardEnabled": False}, {"bpfEnabled": False}]
)
def test_what_asks_for_what_is_done_anyway_yields_nothing(spec: dict[str, Any]) -> None:
    assert fields(**spec) == []


def test_a_setting_of_the_agents_is_named_in_the_notice() -> None:
    (notice,) = RULES.notices(FelixConfiguration.make("default", healthPort=9100))
    assert notice.reason == "where health is served is the setting FELIX_HEALTHPORT of each node"
