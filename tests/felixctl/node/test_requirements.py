"""`node checksystem`: what is there, what is missing, and whether that matters."""

from __future__ import annotations

import pytest

from felixctl.node import requirements
from felixctl.node.requirements import FEATURES, LIBRARIES, PROGRAMS, SYSCTLS, Availability, System

WHOLE = System(
    "6.1.0",
    {feature.option: "y" for feature in FEATURES},
    sysctls={sysctl.path: sysctl.accepted[0] for sysctl in SYSCTLS},
    programs={one.name for one in (*LIBRARIES, *PROGRAMS)},
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
    lacking = System(
        "6.1.0", {**(WHOLE.options or {}), "NET_IPIP": "n"}, sysctls=WHOLE.sysctls, programs=WHOLE.programs
    )
    assert not any(finding.fails for finding in requirements.findings(lacking))
    closed = System("6.1.0", WHOLE.options, sysctls={"net/ipv4/ip_forward": "0"}, programs=WHOLE.programs)
    assert [finding.name for finding in requirements.findings(closed) if finding.fails] == ["net.ipv4.ip_forward"]
    assert "it is 0; set net.ipv4.ip_forward=1" in requirements.report(closed)
    assert requirements.report(closed).endswith("This system can't run felix-py yet.\n")
