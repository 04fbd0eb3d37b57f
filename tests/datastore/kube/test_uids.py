from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from datastore.kube.uids import mirrored
from tests.felixctl.golden import records


def test_the_uid_is_the_one_that_calicoctl_prints() -> None:
    [stored] = records("crs/clusterinformations.yaml")
    [printed] = records("cli/get-clusterinfo.yaml")
    assert mirrored(stored["metadata"]["uid"]) == printed["metadata"]["uid"]


@given(st.uuids().map(str))
def test_mirrored_twice_is_the_same(uid: str) -> None:
    assert mirrored(mirrored(uid)) == uid


@given(st.text().filter(lambda text: len(text) < 32))
def test_what_is_no_uuid_stays(text: str) -> None:
    assert mirrored(text) == text
