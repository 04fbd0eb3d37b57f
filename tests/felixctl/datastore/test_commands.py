"""`felixctl datastore`."""

from __future__ import annotations

from pathlib import Path

from tests.felixctl.command import Felixctl

GUID = """
apiVersion: projectcalico.org/v3
kind: ClusterInformation
metadata: {name: default}
spec: {clusterGUID: 00112233445566778899aabbccddeeff}
"""
POLICY = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: deny}
spec: {order: 10, selector: all(), types: [Ingress]}
"""


def test_a_locked_datastore_is_locked_once(damaged: Felixctl) -> None:
    assert damaged("datastore", "migrate", "lock").out == "Datastore locked.\n"
    assert damaged("datastore", "lock").out == "It is locked already.\n"
    assert "false" in damaged("get", "clusterinfo").out
    assert damaged("datastore", "unlock").out == "Datastore unlocked.\n"
    assert damaged("datastore", "unlock").out == "It is not locked.\n"


def test_a_datastore_without_cluster_information_cannot_be_unlocked(felixctl: Felixctl) -> None:
    ended = felixctl("datastore", "unlock")
    assert ended.status == 1
    assert ended.err.startswith('felixctl: unlock the datastore: there is no ClusterInformation "default"')


def locked(felixctl: Felixctl) -> str:
    """Return the export of a cluster that was locked for it."""
    assert felixctl("datastore", "migrate", "lock").status == 0
    ended = felixctl("datastore", "migrate", "export")
    assert (ended.status, ended.err) == (0, "")
    return ended.out


def test_an_export_is_imported_by_the_same_command_line(calicos: Felixctl, tmp_path: Path) -> None:
    calicos("apply", "-f", "-", stdin=GUID + "---" + POLICY)
    exported = locked(calicos)
    (tmp_path / "cluster.yaml").write_text(exported)
    other = ("--datastore", f"sqlite://{tmp_path}/other.db")
    preview = calicos("datastore", "migrate", "import", "-f", str(tmp_path / "cluster.yaml"), "--dry-run", *other)
    assert (preview.status, preview.out.startswith("would write ")) == (0, True)
    assert not (tmp_path / "other.db").exists()
    done = calicos("datastore", "migrate", "import", "-f", str(tmp_path / "cluster.yaml"), *other)
    assert done.out.startswith("Successfully imported ")
    assert 'notice: GlobalNetworkPolicy "deny": policies are not enforced' in done.err
    assert calicos("datastore", "migrate", "import", "-f", "-", *other, stdin=exported).out.startswith("All of it")
    assert "found 0 problems" in calicos("ipam", "check", *other).out
    assert calicos("ipam", "show", "--show-blocks", *other).out == calicos("ipam", "show", "--show-blocks").out
    assert calicos("datastore", "unlock", *other).out == "Datastore unlocked.\n"


def test_what_cannot_be_imported_is_said_and_nothing_is_written(calicos: Felixctl, tmp_path: Path) -> None:
    calicos("apply", "-f", "-", stdin=GUID)
    exported = locked(calicos)
    cut = calicos("datastore", "migrate", "import", "-f", "-", stdin=exported[:2000])
    assert (cut.status, "was cut short" in cut.err, "nothing was written" in cut.err) == (1, True, True)
    here = calicos("datastore", "migrate", "import", "-f", "-", stdin=exported.replace("00112233", "99112233"))
    assert "has resources already" in here.err
    assert calicos("datastore", "migrate", "import", "-f", str(tmp_path / "none")).err == (
        f"felixctl: read {tmp_path}/none: No such file or directory\n"
    )


def test_an_import_that_ended_half_way_keeps_the_datastore_locked(felixctl: Felixctl) -> None:
    half = GUID.replace("metadata: {", 'metadata: {annotations: {felix-py/import: "incomplete"}, ')
    felixctl("apply", "-f", "-", stdin=half)
    ended = felixctl("datastore", "migrate", "unlock")
    assert (ended.status, "an import into it is not complete" in ended.err) == (1, True)
