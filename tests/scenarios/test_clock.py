"""A node's wall clock jumps by an hour, forth and back: no packet and no session is lost, and pods come and go.

What its processes take for the wall clock is shifted by lab/wall_clock.c; the monotonic clock goes on as it did.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest
import yaml

from lab.wall_clock import PRELOAD, SHIFT, build
from tests.scenarios.cluster import NAMES, Lab, lab_of, three_nodes, until

KEEPALIVE_SECONDS = 1
QUICK_SESSIONS = [
    {
        "apiVersion": "projectcalico.org/v3",
        "kind": "BGPConfiguration",
        "metadata": {"name": "default"},
        "spec": {"nodeToNodeMeshEnabled": False},
    },
    {
        "apiVersion": "projectcalico.org/v3",
        "kind": "BGPPeer",
        "metadata": {"name": "quick"},
        "spec": {"nodeSelector": "all()", "peerSelector": "all()", "keepaliveTime": f"{KEEPALIVE_SECONDS}s"},
    },
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab whose sessions end after three seconds without a keepalive, and whose programs all load the library."""
    library = build()
    with lab_of(three_nodes(), tmp_path_factory.mktemp("clock")) as lab:
        lab.run("n1", "sh", "-c", f"echo {library} > {PRELOAD}")
        text = yaml.safe_dump_all(QUICK_SESSIONS)
        lab.run("n1", "sh", "-c", f"{sys.executable} -m felixctl apply -f - <<'END'\n{text}\nEND")
        for node in NAMES:
            lab.ask("kill", node=node, what="sidecar")
            lab.ask("kill", node=node, what="agent")
        until(lab.settled, "the lab has settled on sessions with short times")
        yield lab


def sessions(lab: Lab) -> dict[tuple[str, str], int]:
    """Return how often each session has gone down so far; all of them are up."""
    found = {}
    for node in NAMES:
        for peer in lab.page(node, "status")["peers"]:
            assert peer["state"] == "up", (node, peer)
            found[node, peer["address"]] = peer["flaps"]
    assert len(found) == 6
    return found


def live_for(lab: Lab, seconds: int) -> None:
    """Let the lab live on: a pod sends that many pings, one a second."""
    lab.run("n2-1", "ping", "-q", "-c", str(seconds), "127.0.0.1")


@pytest.mark.parametrize("hours", [1, -1])
def test_a_wall_clock_that_jumps_loses_no_packet_and_no_session(lab: Lab, hours: int) -> None:
    before = sessions(lab)
    lab.ask("traffic start", per_second=100)
    lab.run("n1", "sh", "-c", f"echo {hours * 3600} > {SHIFT}")
    ahead = int(lab.run("n1", "date", "+%s")) - time.time()
    assert abs(ahead - hours * 3600) < 60
    lab.ask("pod add", node="n1", pod="late")
    live_for(lab, 2 * 3 * KEEPALIVE_SECONDS)
    lab.ask("pod del", pod="late")
    lab.run("n1", "rm", SHIFT)
    live_for(lab, 2 * 3 * KEEPALIVE_SECONDS)
    traffic = lab.ask("traffic stop")
    assert traffic["sent"] > 1000
    assert traffic["lost"] == 0
    assert sessions(lab) == before
    until(lab.settled, "the lab has settled")
