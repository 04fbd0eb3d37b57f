"""What the records of a cluster's addresses say."""

from __future__ import annotations

import re

from tests.cluster.cluster import Cluster
from tests.cluster.felixctl import felixctl


def ipam_problems(made: Cluster) -> int:
    """Return how many problems `felixctl ipam check` finds."""
    said = felixctl(made, "ipam", "check").stdout
    found = re.search(r"found (\d+) problems", said)
    assert found, said
    return int(found[1])


def blocks_of(made: Cluster, node: str) -> int:
    """Return how many blocks a node has claimed."""
    claims = made.kubectl.get("blockaffinities.crd.projectcalico.org")["items"]
    return sum(claim["spec"]["node"] == node for claim in claims)
