"""Every answer of calicoctl that was captured is compared with ours, or the reason why ours differs is given here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.felixctl.command import Felixctl
from tests.felixctl.golden import FIXTURES, printed
from tests.felixctl.resources.test_golden_resources import CRS, EMPTY

DIFFERENT = {
    "cli/table-ipamconfig.txt": "calicoctl knows the kind as ipamconfiguration only; we by that name, too",
    "cli/table-ipamconfig-wide.txt": "as above",
    "cli/get-ipamconfig.yaml": "as above",
    "cli/table-profiles.txt": "profiles are made from Kubernetes' namespaces, for policies, which we do not enforce",
    "cli/table-profiles-wide.txt": "as above",
    "cli/get-blockaffinities-unsupported.txt": "ours can be looked at",
    "cli/node-status-no-bird.txt": "ours asks the agent; its sentence without one is in test_status_client.py",
}


def captured() -> set[str]:
    return {str(path.relative_to(FIXTURES)) for room in ("cli", "ipam") for path in (FIXTURES / room).iterdir()}


def compared() -> set[str]:
    """Return the files that tests name, and the tables that are compared kind by kind."""
    here = Path(__file__).parent
    named = {
        name for path in here.rglob("test_*.py") for name in re.findall(r'"((?:cli|ipam)/[^"]+)"', path.read_text())
    }
    tables = {f"cli/table-{word}{wide}.txt" for word in (*CRS, *EMPTY) for wide in ("", "-wide")}
    return (
        named
        | tables
        | {f"cli/after-add-{kind}{wide}.txt" for kind in ("nodes", "workloadendpoints") for wide in ("", "-wide")}
    )


def test_every_captured_answer_is_compared_or_explained() -> None:
    assert captured() - compared() == set()


@pytest.mark.parametrize("path", [path for path in DIFFERENT if path.startswith("cli/table-ipam")])
def test_what_calicoctl_did_not_print_is_explained(path: str) -> None:
    assert printed(path).strip() == ""


def test_three_resources_are_applied_in_calicoctls_words(felixctl: Felixctl) -> None:
    written = [printed(f"cli/get-{kind}.yaml") for kind in ("bgpconfig", "bgppeer")]
    assert felixctl("apply", "-f", "-", stdin="---\n".join(written)).out == printed("cli/apply-bgp.txt")


def test_what_is_missing_ends_with_calicoctls_status(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=printed("cli/get-ippool.yaml"))
    for arguments, path in ((("node", "node-9"), "cli/get-missing-node.txt"), (("nodez",), "cli/get-bad-kind.txt")):
        ended = felixctl("get", *arguments)
        assert (ended.status, ended.out) == (1, printed(path).rstrip("\n"))


def test_the_version_of_the_cluster_is_told_as_calicoctl_tells_it(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=printed("cli/get-clusterinfo.yaml"))
    calicos = printed("cli/version.txt").splitlines()
    ours = felixctl("version").out.splitlines()
    assert ours[1:] == [line for line in calicos if line.startswith("Cluster")]
    assert ours[0].split(":")[0] == calicos[0].split(":")[0]


def test_a_check_of_an_empty_cluster_goes_on_where_calicoctl_ends(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=printed("cli/get-ippool.yaml"))
    ended = felixctl("ipam", "check")
    assert ended.out.startswith(printed("ipam/empty-check.txt").rstrip("\n"))
    assert (ended.status, ended.out.splitlines()[-1]) == (0, "Check complete; found 0 problems.")
