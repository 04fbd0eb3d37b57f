"""`felixctl datastore`."""

from __future__ import annotations

from tests.felixctl.command import Felixctl


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
