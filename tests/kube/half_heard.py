"""What tests of writes that were carried out and not heard of look at."""

from __future__ import annotations

import json

from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMHandle
from datastore.kube.client import ApiClient
from datastore.kube.paths import collection
from datastore.kube.store import KubeStore
from datastore.record import CRD, Resource
from tests.kube.bed import Bed


class Witness(KubeStore):
    """A store that looks and changes nothing: it leaves a deletion that was begun to others."""

    async def _take_up_deletion(self, flagged: Resource) -> None:
        return


async def flagged_records(bed: Bed) -> list[str]:
    """Return the records of addresses that are flagged as deleted and still there, which no reader sees."""
    client = ApiClient(bed.access)
    found = []
    try:
        for kind in (IPAMBlock, BlockAffinity, IPAMHandle):
            answer = await client.request("list", "GET", collection(kind, CRD))
            flags = {one["metadata"]["name"]: one["spec"].get("deleted") for one in json.loads(answer.body)["items"]}
            found += [f"{kind.KIND} {name}" for name, flag in flags.items() if flag in (True, "true")]
    finally:
        await client.close()
    return found
