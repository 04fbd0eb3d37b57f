"""What the records of a cluster's addresses say."""

from __future__ import annotations

import re

from tests.cluster.cluster import Cluster
from tests.cluster.felixctl import felixctl


def ipam_problems(made: Cluster) -> int:
    """Return how many problems `felixctl ipam check` finds."""
    return _found(_checked(made), r"found (\d+) problems")


def address_problems(made: Cluster) -> int:
    """Return the same without handles that own no address.

    An assignment whose write was never answered leaves one: it may be about to own one, so the controller alone
    removes it, when its grace period is over.
    """
    said = _checked(made)
    return _found(said, r"found (\d+) problems") - _found(said, r"Found (\d+) handles with no matching IPs")


def _checked(made: Cluster) -> str:
    return felixctl(made, "ipam", "check").stdout


def _found(said: str, count: str) -> int:
    found = re.search(count, said)
    assert found, said
    return int(found[1])


def blocks_of(made: Cluster, node: str) -> int:
    """Return how many blocks a node has claimed."""
    claims = made.kubectl.get("blockaffinities.crd.projectcalico.org")["items"]
    return sum(claim["spec"]["node"] == node for claim in claims)
