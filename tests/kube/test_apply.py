"""felixctl on a real API server writes nothing where it can know that something of it cannot be written."""

from __future__ import annotations

import asyncio

import pytest
import yaml

from datastore.kinds.pools import IPPool
from tests.felixctl.command import Felixctl
from tests.kube.bed import Bed

RECORDS = (
    {"kind": "IPPool", "metadata": {"name": "pods"}, "spec": {"cidr": "10.65.0.0/16"}},
    {"kind": "NetworkSet", "metadata": {"name": "friends", "namespace": "shop"}, "spec": {"nets": ["192.0.2.0/24"]}},
)
WRITTEN = yaml.safe_dump_all({"apiVersion": "projectcalico.org/v3", **record} for record in RECORDS)


async def pools(bed: Bed) -> list[str]:
    store = bed.open()
    found = await store.list(IPPool)
    await store.close()
    return [pool.name for pool in found.objects]


def test_a_namespace_that_is_missing_is_named_before_anything_is_written(
    started_bed: Bed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(started_bed.empty())
    felixctl = Felixctl(f"kubernetes://{started_bed.control_plane.kubeconfig}", monkeypatch, capsys)
    ended = felixctl("apply", "-f", "-", stdin=WRITTEN)
    assert ended.status == 1
    assert "there is no Namespace shop: create it first" in ended.err and "nothing was written" in ended.err
    assert asyncio.run(pools(started_bed)) == []
    asyncio.run(started_bed.make_namespace("shop"))
    assert felixctl("apply", "-f", "-", stdin=WRITTEN).out.startswith("Successfully applied 2 ")
    assert asyncio.run(pools(started_bed)) == ["pods"]
    asyncio.run(started_bed.empty())
