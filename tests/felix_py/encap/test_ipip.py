"""IPIP is wanted by IPv4 pools that ask for it, disabled ones too."""

from __future__ import annotations

import pytest

from datastore.kinds.pools import IPPool
from felix_py.encap.ipip import IPIP


@pytest.mark.parametrize(
    ("mode", "disabled", "wanted"),
    [("Never", False, False), ("Always", False, True), ("CrossSubnet", False, True), ("CrossSubnet", True, True)],
)
def test_a_pool_wants_it_in_every_mode_but_never(mode: str, disabled: bool, wanted: bool) -> None:
    pool = IPPool.make("pods", cidr="10.65.0.0/16", ipipMode=mode, disabled=disabled)
    assert IPIP.wanted_by(pool) is wanted


def test_no_ipv6_pool_wants_it() -> None:
    assert not IPIP.wanted_by(IPPool.make("pods", cidr="fd80::/64"))
