"""What an agent hears of: its own pods, every node's claims, and blocks only where nothing else tells."""

from __future__ import annotations

from typing import Any

import pytest

from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMHandle
from datastore.kinds.pods import WorkloadEndpoint
from datastore.store import interest_in
from felix_py.cluster.interests import needs_blocks, watched
from felix_py.snapshot import Pool
from net.prefix import Prefix
from tests.felix_py.fake_node import pool


def test_of_endpoints_an_agent_watches_its_own_only_and_no_blocks_nor_handles() -> None:
    found = {interest.kind: interest for interest in map(interest_in, watched("n1"))}
    assert found[WorkloadEndpoint].node == "n1"
    assert found[BlockAffinity].node is None
    assert not {IPAMBlock, IPAMHandle} & found.keys()
    assert IPAMBlock in watched("n1", blocks=True)


@pytest.mark.parametrize(
    ("needed", "alone", "spec"),
    [
        (False, False, {"ipipMode": "Always"}),
        (True, False, {"ipipMode": "Always", "disableBGPExport": True}),
        (True, False, {"ipipMode": "CrossSubnet", "disableBGPExport": True}),
        (True, True, {"ipipMode": "CrossSubnet"}),
        (False, True, {"ipipMode": "Never", "disableBGPExport": True}),
    ],
)
def test_blocks_are_needed_where_tunnels_are_wanted_and_nobody_announces(
    needed: bool, alone: bool, spec: dict[str, Any]
) -> None:
    pools = [Pool(Prefix.parse("10.66.0.0/16"), pool("10.66.0.0/16")), Pool(Prefix.parse("10.65.0.0/16"), pool(**spec))]
    assert needs_blocks(pools, lambda: alone) is needed


def test_sessions_are_not_looked_at_where_no_pool_wants_a_tunnel() -> None:
    def alone() -> bool:
        raise AssertionError("all sessions were looked at, for one Node that changed")

    assert not needs_blocks([Pool(Prefix.parse("10.65.0.0/16"), pool("10.65.0.0/16"))], alone)
