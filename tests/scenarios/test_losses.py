"""Nearly everything goes from the datastore at once: running pods keep their routes until it is back or confirmed."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.scenarios.cluster import NAMES, Lab, Refused, lab_of, three_nodes, until

LOSE = """
import asyncio, json, datastore
from datastore.resources import KINDS
from datastore.store import Delete

async def lose():
    store = datastore.open("sqlite:///srv/felix/cluster.db")
    kinds = [kind for name, kind in KINDS.items() if name != "ClusterInformation"]
    found = [one for kind in kinds for one in (await store.list(kind)).objects]
    kept = [one.model_dump(by_alias=True, exclude_unset=True, mode="json") for one in found]
    open("/srv/felix/kept.json", "w").write(json.dumps(kept))
    await store.write(*map(Delete, found))
    await store.close()

asyncio.run(lose())
"""
PUT_BACK = """
import asyncio, json, datastore
from datastore.resources import read
from datastore.store import Create

async def put_back():
    store = datastore.open("sqlite:///srv/felix/cluster.db")
    await store.write(*(Create(read(one)) for one in json.load(open("/srv/felix/kept.json"))))
    await store.close()

asyncio.run(put_back())
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab_of(three_nodes(), tmp_path_factory.mktemp("losses")) as lab:
        yield lab


def held_back(lab: Lab, node: str) -> str:
    return str(lab.page(node, "status").get("progress", {}).get("held_back", ""))


def test_running_pods_lose_no_packet_though_agents_are_restarted_meanwhile(lab: Lab) -> None:
    until(lab.settled, "the lab has settled")
    lab.ask("traffic start", per_second=100)
    lab.run("n1", sys.executable, "-c", LOSE)
    for node in NAMES:
        until(lambda node=node: "went at once" in held_back(lab, node), f"{node} holds the loss back")  # type: ignore[misc]
    with pytest.raises(Refused, match="code 11"):
        lab.ask("pod add", node="n1", pod="late")
    lab.ask("kill", node="n1", what="agent")
    until(lambda: "went at once" in held_back(lab, "n1"), "the agent of n1 holds the loss back after its restart")
    assert "remove the file known-records" in held_back(lab, "n1")
    lab.run("n1", sys.executable, "-c", PUT_BACK)
    until(lab.settled, "the lab has settled with what was put back")
    traffic = lab.ask("traffic stop")
    assert traffic["sent"] > 100
    assert traffic["lost"] == 0
    lab.ask("pod add", node="n1", pod="late")


def test_an_operator_confirms_the_loss(lab: Lab) -> None:
    lab.run("n1", sys.executable, "-c", LOSE)
    until(lambda: "went at once" in held_back(lab, "n3"), "n3 holds the loss back")
    lab.run("n3", "rm", "/var/lib/felix/known-records")
    lab.ask("kill", node="n3", what="agent")
    until(lambda: not lab.routes("n3", "proto", "80", "type", "unicast"), "the route of the pod on n3 is gone")
    assert held_back(lab, "n3") == ""
