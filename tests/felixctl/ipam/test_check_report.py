"""The report of `ipam check`, beside what calicoctl printed of the same records."""

from __future__ import annotations

import pytest

from felixctl.ipam.check_report import report
from felixctl.ipam.problems import problems
from tests.felixctl.golden import printed
from tests.felixctl.ipam.cluster import CLUSTER


@pytest.mark.parametrize(("everything", "path"), [(False, "ipam/check.txt"), (True, "ipam/check-all-ips.txt")])
def test_a_sound_cluster_checks_as_calicoctls(everything: bool, path: str) -> None:
    assert report(CLUSTER, problems(CLUSTER), all_addresses=everything) == printed(path)
