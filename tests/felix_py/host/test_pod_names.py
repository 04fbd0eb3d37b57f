"""Which devices are pods', whatever FELIX_INTERFACEPREFIX says and has said."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from datastore.names import interface_name
from felix_py.host.pod_names import is_pods, prefixes
from kernel.link_codec import Link

OF_CALICO = Link(7, interface_name("default", "web"), up=True, carrier=True, mtu=1500, mac=bytes(6))
OF_FX = replace(OF_CALICO, name=interface_name("default", "web", "fx"))
LABELLED = replace(OF_FX, alias="felix pods c1 eth0")
RETIRED = replace(LABELLED, name="x0123456789abcd", up=False)
ETH0 = replace(OF_CALICO, name="eth0")


@pytest.mark.parametrize(
    ("link", "prefix", "expected"),
    [
        (OF_FX, "fx", True),
        (OF_FX, "cali", False),
        (LABELLED, "cali", True),
        (RETIRED, "cali", True),
        (OF_CALICO, "fx", True),
        (replace(OF_CALICO, name="cali-lan"), "fx", False),
        (ETH0, "cali", False),
        (replace(ETH0, alias="felix's uplink"), "cali", False),
    ],
)
def test_a_device_is_a_pods_by_its_beginning_its_label_or_calicos_name(link: Link, prefix: str, expected: bool) -> None:
    assert is_pods(link, prefix) is expected


def test_pods_from_before_the_setting_changed_have_names_that_begin_otherwise() -> None:
    assert prefixes([OF_CALICO, LABELLED, RETIRED, ETH0], "pod") == ("pod", "cali", "fx")
    assert prefixes([OF_CALICO, ETH0], "cali") == prefixes([], "cali") == ("cali",)
