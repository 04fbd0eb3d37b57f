"""`node checksystem`: what is there, what is missing, and whether that matters."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from felixctl.node import requirements
from felixctl.node.findings import Availability
from felixctl.node.requirements import FEATURES, LIBRARIES, PROGRAMS, SYSCTLS, System
from felixctl.node.runtime_requirements import HostFiles, Runtime
from net.packet_filter import PacketFilters

WHOLE = System(
    "6.1.0",
    {feature.option: "y" for feature in FEATURES},
    sysctls={sysctl.path: sysctl.accepted[0] for sysctl in SYSCTLS},
    programs=frozenset(one.name for one in (*LIBRARIES, *PROGRAMS)),
    host=HostFiles(
        plugin=True, configurations=("10-felix.conflist",), runtimes=(Runtime("containerd"),), filters=PacketFilters()
    ),
)


def state(found: System, name: str) -> Availability:
    [one] = [finding for finding in requirements.findings(found) if finding.name == name]
    return one.state


def test_a_system_that_has_all_will_do() -> None:
    assert {finding.state for finding in requirements.findings(WHOLE)} == {Availability.PRESENT}
    assert requirements.report(WHOLE).endswith("This system can run felix-py.\n")


def test_a_kernels_configuration_is_read_as_it_is_written() -> None:
    text = "#\n# Automatically generated\n#\nCONFIG_VETH=m\nCONFIG_NET_NS=y\n# CONFIG_NET_IPIP is not set\n"
    assert requirements.options(text) == {"VETH": "m", "NET_NS": "y", "NET_IPIP": "n"}


@pytest.mark.parametrize(
    ("options", "loaded", "loadable", "known"),
    [
        ({"NET_IPIP": "y"}, set(), set(), Availability.PRESENT),
        ({"NET_IPIP": "m"}, {"ipip"}, set(), Availability.PRESENT),
        ({"NET_IPIP": "m"}, set(), {"ipip"}, Availability.LOADABLE),
        ({"NET_IPIP": "m"}, set(), set(), Availability.UNKNOWN),
        ({"NET_IPIP": "n"}, set(), set(), Availability.MISSING),
        ({}, set(), set(), Availability.MISSING),
        (None, set(), set(), Availability.UNKNOWN),
        (None, {"ipip"}, set(), Availability.PRESENT),
    ],
)
def test_a_feature_is_there_loadable_missing_or_not_known(
    options: dict[str, str] | None, loaded: set[str], loadable: set[str], known: Availability
) -> None:
    assert state(System("6.1.0", options, loaded, loadable), "ipip") is known


def test_only_what_every_node_needs_fails() -> None:
    lacking = replace(WHOLE, options={**(WHOLE.options or {}), "NET_IPIP": "n"})
    assert not any(finding.fails for finding in requirements.findings(lacking))
    without = replace(WHOLE, programs={*WHOLE.programs} - {"exabgp"})
    assert [finding.name for finding in requirements.findings(without) if finding.fails] == ["exabgp"]
    assert requirements.report(without).endswith("This system can't run felix-py yet.\n")


def test_what_the_agent_sets_itself_fails_no_host() -> None:
    closed = replace(WHOLE, sysctls={**(WHOLE.sysctls or {}), "net/ipv4/ip_forward": "0"})
    assert state(closed, "net.ipv4.ip_forward") is Availability.BY_AGENT
    assert requirements.report(closed).endswith("This system can run felix-py.\n")


def test_a_sysctl_that_cannot_be_set_here_fails_with_its_cure() -> None:
    fixed = replace(WHOLE, sysctls={"net/ipv4/ip_forward": "0"}, fixed_sysctls=True)
    assert [finding.name for finding in requirements.findings(fixed) if finding.fails] == ["net.ipv4.ip_forward"]
    cure = "it is 0; set net.ipv4.ip_forward=1 on the host: /proc/sys is mounted read-only here"
    assert cure in requirements.report(fixed)
    assert not any(finding.fails for finding in requirements.findings(replace(WHOLE, fixed_sysctls=True)))


def test_a_host_that_its_programs_keep_from_it_fails_and_says_why() -> None:
    overtaken = replace(WHOLE, host=replace(WHOLE.host, configurations=("05-bridge.conf", "10-felix.conflist")))
    assert "another configuration comes first in /etc/cni/net.d: 05-bridge.conf" in requirements.report(overtaken)
    assert requirements.report(overtaken).endswith("This system can't run felix-py yet.\n")
