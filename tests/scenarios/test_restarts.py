"""Processes killed at any moment: running pods lose no packet, and afterwards nothing is lost or leaked."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests.scenarios.cluster import NAMES, Lab, Refused, lab_of, three_nodes, until

PARTS = ("agent", "sidecar", "exabgp")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab_of(three_nodes(), tmp_path_factory.mktemp("restarts")) as lab:
        yield lab


def kill(lab: Lab, node: str, part: str) -> None:
    """Kill one part, unless it is just being started again."""
    with suppress(Refused):
        lab.ask("kill", node=node, what=part)


def test_pings_between_nodes_lose_no_packet_while_parts_are_killed(lab: Lab) -> None:
    lab.ask("traffic start", per_second=100)
    for parts in (*((part,) for part in PARTS), PARTS):
        for part in parts:
            kill(lab, "n1", part)
        lab.wait_until_settled(f"{', '.join(parts)} of n1 were killed")
    traffic = lab.ask("traffic stop")
    assert traffic["sent"] > 300
    assert traffic["lost"] == 0


def test_after_200_attachments_with_kills_at_random_points_nothing_is_violated_or_leaked(lab: Lab) -> None:
    second = lab.for_another_thread()
    with ThreadPoolExecutor(1) as killer:
        attached, half_detached = attach_and_detach(lab, second, killer)
    second.disconnect()
    until(lambda: not lab.unready(), "every agent is ready after the last kill")
    for pod in half_detached:  # as a kubelet does, which tries until a DEL succeeds
        lab.ask("pod del", pod=pod)
    for node in NAMES:
        lab.ask("gc", node=node)
    lab.wait_until_settled("all that was cut short has been done again")
    assert not lab.lost_pings()
    status = lab.ask("status")
    assert status["invariants"] == {"checked": 8, "violated": []}
    assert {pod["name"] for pod in status["pods"]} == attached - half_detached | {f"{node}-1" for node in NAMES}
    assert allocated(lab) == sorted(address for pod in status["pods"] for address in pod["addresses"])
    own = {node: sum(pod["node"] == node for pod in status["pods"]) for node in NAMES}
    until(lambda: devices_of_pods(lab) == own, "the nodes have the devices of these pods alone")


def devices_of_pods(lab: Lab) -> dict[str, int]:
    """Return how many each node has, those of ended pods included, which go soon after the DEL."""
    return {node: lab.run(node, "ip", "-o", "link", "show", "type", "veth").count("cali") for node in NAMES}


def attach_and_detach(lab: Lab, second: Lab, killer: ThreadPoolExecutor) -> tuple[set[str], set[str]]:
    """Do 200 ADDs and DELs in a fixed order while parts are killed.

    Return the pods that are attached in the end, and those of them whose last DEL was cut short.
    """
    chance = random.Random(20)
    names = [f"w{number}" for number in range(12)]
    attached: set[str] = set()
    half_detached: set[str] = set()
    kills = set(chance.sample(range(200), 24))
    for step in range(200):
        if step in kills:  # during the next ADD or DEL, which takes some 10 ms
            killer.submit(kill_later, second, chance.uniform(0, 0.03), chance.choice(NAMES), chance.choice(PARTS))
        name = chance.choice(names)
        with suppress(Refused):  # the agent is down: a runtime tries again, and so does a later step
            if name in attached:
                half_detached.add(name)
                lab.ask("pod del", pod=name)
                half_detached.remove(name)
                attached.remove(name)
            else:
                lab.ask("pod add", node=chance.choice(NAMES), pod=name)
                attached.add(name)
    return attached, half_detached


def kill_later(lab: Lab, seconds: float, node: str, part: str) -> None:
    time.sleep(seconds)
    kill(lab, node, part)


def allocated(lab: Lab) -> list[str]:
    """Return every allocated address, read from the datastore by the command a user has."""
    code = (
        "import asyncio, datastore\n"
        "from ipaddress import ip_network\n"
        "from datastore.kinds.ipam import IPAMBlock\n"
        "async def main():\n"
        "    store = datastore.open('sqlite:///srv/felix/cluster.db')\n"
        "    for block in (await store.list(IPAMBlock)).objects:\n"
        "        for ordinal, index in enumerate(block.spec.allocations):\n"
        "            if index is not None: print(ip_network(block.spec.cidr)[ordinal])\n"
        "    await store.close()\n"
        "asyncio.run(main())"
    )
    return sorted(lab.run("n1", sys.executable, "-c", code).split())
