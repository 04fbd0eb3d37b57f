"""A real agent in a cluster of a thousand nodes: what it asks the API server for, and what it hears, counted.

The other nodes have no machines: kwok reports for them as kubelets do and has their pods run, which Kubernetes' own
controllers make and its scheduler places (tests/kube/fake_nodes.py). Times and sizes go to build/scale.json, and beside
what was counted into build/bench/scale.json, where `make bench-check` finds it; only what is counted is judged. Both
are written before it is, so that what falls short is found there too.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from bench.result import FOLDER as REPORTS
from bench.result import figure, report
from lab.timescale import TIMESCALE
from tests.kube import assets
from tests.kube.cluster import FOLDER, KUBECONFIG, ROUTER, TREE, Cluster, cluster_of
from tests.kube.cluster import PROGRAMS as PLACE
from tests.kube.fake_nodes import PROGRAMS
from tests.kube.roles import NODE as AGENTS
from tests.scenarios.cluster import three_nodes, until

NODES, PODS, MORE_PODS = 1000, 5000, 200
REST_SECONDS, CHECK_SECONDS = 60, 5
"""How long nothing of the cluster's is changed; how often the agent checks its invariants meanwhile."""
FILL_SECONDS = 900.0 * TIMESCALE  # on two idle cores it takes two minutes, on busy ones as long as it gets
PAGES = ("curl", "-s", "--unix-socket", "/run/felix/status.sock")


class Agent:
    """The agent of n1, the one real node, as its machine and its API server see it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def pid(self) -> str:
        return self._run("sh", "-c", "pgrep --ns $$ --nslist net -f -- '[-]m felix_py'").strip()

    def end(self) -> None:
        self._run("kill", "-9", self.pid())

    def put_foreign_route(self, metric: int) -> None:
        """Change what no record is about: the next check of the invariants looks at all, as at rest few do."""
        self._run("ip", "route", "add", "blackhole", "198.51.100.0/24", "metric", str(metric))

    def pss_kb(self) -> int:
        [line] = [
            one for one in self._run("cat", f"/proc/{self.pid()}/smaps_rollup").splitlines() if one.startswith("Pss:")
        ]
        return int(line.split()[1])

    def cpu_seconds(self) -> float:
        fields = self._run("cat", f"/proc/{self.pid()}/stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def connections(self) -> int:
        """Return how many there are to the API server."""
        found = self._run("ss", "-Htnp", "state", "established", "dst", ROUTER).splitlines()
        return sum(f"pid={self.pid()}," in line for line in found)

    def events(self) -> Counter[str]:
        """Return what the watch has reported, by kind."""
        found = [line.split('"') for line in self._metrics() if line.startswith("felix_datastore_events_total{")]
        return Counter({kind: int(float(number.removeprefix("} "))) for _, kind, number in found})

    def has_all(self) -> bool:
        """Whether it is ready, and knows every node."""
        lines = self._metrics()
        return "felix_ready 1.0" in lines and f"felix_cluster_num_hosts {NODES + 1.0}" in lines

    def _metrics(self) -> list[str]:
        return self._run(*PAGES, "http://agent/metrics", check=False).splitlines()

    def _run(self, *command: str, check: bool = True) -> str:
        return self._cluster.lab.run("n1", *command, check=check)


def crowd(cluster: Cluster, *arguments: object) -> None:
    words = " ".join(map(str, arguments))
    command = (
        f"cd {TREE}; {sys.executable} -m tests.kube.crowd {KUBECONFIG} {words} >/tmp/crowd 2>&1; echo $? >/tmp/end"
    )
    cluster.lab.run("router", "sh", "-c", f"rm -f /tmp/end; ({command}) &")
    until(lambda: cluster.lab.run("router", "cat", "/tmp/end", check=False), f"the crowd's {words}", FILL_SECONDS)
    assert cluster.lab.run("router", "cat", "/tmp/end").strip() == "0", cluster.lab.run("router", "cat", "/tmp/crowd")


def start_fake_nodes(cluster: Cluster) -> None:
    """Begin to do for Nodes what kubelets do, and for pods what controllers and the scheduler do."""
    begin = f"KUBEBUILDER_ASSETS={PLACE} setsid {sys.executable} -m tests.kube.fake_nodes {FOLDER} {KUBECONFIG}"
    cluster.lab.run("router", "sh", "-ec", f"cd {TREE}; {begin} >/tmp/fake-nodes 2>&1 &")


@pytest.fixture(scope="module")
def programs() -> tuple[str, ...]:
    assets.build(("nodes", "kwok"))
    return PROGRAMS


@pytest.mark.long
def test_among_a_thousand_nodes_an_agent_at_rest_asks_nothing_and_hears_nothing_of_others_pods(
    tmp_path: Path, programs: tuple[str, ...]
) -> None:
    store = f"kubernetes://{KUBECONFIG}-{AGENTS}"
    settings = {"FELIX_CHECKINTERVAL": str(CHECK_SECONDS), "FELIX_LEAKGRACEPERIOD": "0"}
    spec = three_nodes(0, FELIX_DATASTORE=store, **settings)
    figures: dict[str, float] = {"nodes": NODES, "pods": PODS}
    (REPORTS / "scale.json").unlink(missing_ok=True)
    with cluster_of(tmp_path, programs, nodes=spec["nodes"][:1]) as cluster:
        agent = Agent(cluster)
        figures["pss_kb_alone"] = agent.pss_kb()
        start_fake_nodes(cluster)
        began = time.monotonic()
        crowd(cluster, "fill", NODES, PODS)
        figures["seconds_until_all_pods_ran"] = time.monotonic() - began
        until(agent.has_all, "the agent knows all nodes")

        agent.end()
        began = time.monotonic()
        until(agent.has_all, "the agent is back and knows all nodes")
        figures["seconds_from_its_end_to_ready"] = time.monotonic() - began
        until(cluster.lab.settled, "no invariant is violated")
        figures["pss_kb"] = agent.pss_kb()

        # Once, a minute after its first start: its host has no portmap.
        until(lambda: cluster.requests()["create events"], "an Event says what its host lacks")
        asked, heard, cpu = cluster.requests(), agent.events(), agent.cpu_seconds()
        for number in range(REST_SECONDS // CHECK_SECONDS):
            agent.put_foreign_route(metric=number + 1)
            time.sleep(CHECK_SECONDS)  # it is what does not happen that is looked for
        renewed = cluster.requests() - asked
        reported = agent.events() - heard
        figures["requests_in_a_minute_at_rest_but_for_watches"] = sum(
            count for what, count in renewed.items() if not what.startswith("watch ")
        )
        figures["connections_to_the_API_server"] = agent.connections()
        figures["reports_of_nodes_heard_a_minute"] = reported.total() * 60 / REST_SECONDS
        figures["watches_renewed_a_minute"] = renewed.total() * 60 / REST_SECONDS
        figures["cpu_percent_at_rest"] = 100 * (agent.cpu_seconds() - cpu) / REST_SECONDS

        cpu = agent.cpu_seconds()
        crowd(cluster, "pods", MORE_PODS)
        cluster.make_pod("own", "n1")
        until(lambda: agent.events()["WorkloadEndpoint"] > heard["WorkloadEndpoint"], "its own pod is reported")
        new = agent.events() - heard
        del new["WorkloadEndpoint"], new["Node"]
        figures["events_of_blocks_claimed"] = new["BlockAffinity"]
        figures["events_by_200_pods_elsewhere_but_for_blocks_claimed"] = new.total() - new["BlockAffinity"]
        figures["cpu_seconds_by_200_pods_elsewhere"] = agent.cpu_seconds() - cpu
    (TREE / "build" / "scale.json").write_text(json.dumps(figures, indent=1) + "\n")
    report("scale", [figure(name.replace("_", " "), [value], "") for name, value in figures.items()], rounds=1)
    assert {one.partition(" ")[0] for one in renewed} <= {"watch"}, renewed
    assert set(reported) <= {"Node"}, reported
    assert figures["connections_to_the_API_server"] == 1
    assert set(new) <= {"BlockAffinity"}, new
