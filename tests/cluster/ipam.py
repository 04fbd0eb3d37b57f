"""What the records of a cluster's addresses say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.cluster import Cluster
from tests.cluster.felixctl import felixctl

_CONTROLLERS, _SOON_SECONDS = "kubecontrollersconfigurations.crd.projectcalico.org", 10


def ipam_problems(made: Cluster) -> int:
    """Return how many problems `felixctl ipam check` finds."""
    return _found(_checked(made), r"found (\d+) problems")


def address_problems(made: Cluster) -> int:
    """Return the same without handles that own no address.

    An assignment whose write was never answered leaves one: it may be about to own one, so the controller alone
    removes it, when its grace period is over (`collecting_soon`).
    """
    said = _checked(made)
    return _found(said, r"found (\d+) problems") - _found(said, r"Found (\d+) handles with no matching IPs")


@contextmanager
def collecting_soon(made: Cluster) -> Iterator[None]:
    """Have the controller give back what leaked after seconds, not minutes."""
    before = made.kubectl.get(_CONTROLLERS, "default")["spec"]["controllers"]["node"]["leakGracePeriod"]
    _collect_after(made, f"{_SOON_SECONDS}s")
    try:
        yield
    finally:
        _collect_after(made, before)


def _collect_after(made: Cluster, grace: str) -> None:
    changed = {"spec": {"controllers": {"node": {"leakGracePeriod": grace}}}}
    made.kubectl("patch", _CONTROLLERS, "default", "--type=merge", f"--patch={json.dumps(changed)}")


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
