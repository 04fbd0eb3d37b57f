"""`felixctl node status --all` of thousands of nodes through a real API server: what is said, and what it takes.

The agents are one program (tests/kube/crowded_agents.py). Times and sizes go to build/all-nodes.json and judge nothing.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.kube.cluster import KUBECONFIG, ROUTER, TREE, cluster_of
from tests.kube.roles import NODE, VIEWER
from tests.scenarios.cluster import three_nodes, until

NODES = 5000
FILL_SECONDS = 300.0
MEASURED = """
import json, resource, subprocess, sys, time
began = time.monotonic()
ended = subprocess.run(sys.argv[1:], capture_output=True, text=True)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({
    "status": ended.returncode, "out": ended.stdout, "err": ended.stderr, "seconds": time.monotonic() - began,
    "cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_kb": usage.ru_maxrss,
}))
"""


@pytest.mark.long
def test_of_five_thousand_nodes_the_counts_come_first_and_the_odd_ones_by_name(tmp_path: Path) -> None:
    spec = three_nodes(0, FELIX_DATASTORE=f"kubernetes://{KUBECONFIG}-{NODE}")
    with cluster_of(tmp_path, nodes=spec["nodes"][:1]) as cluster:
        cluster.lab.ask("kill", node="n1", what="agent", signal="SIGSTOP")  # it would follow all nodes, for nobody
        program = f"cd {TREE}; {sys.executable} -m tests.kube.crowded_agents {KUBECONFIG} {ROUTER} {NODES}"
        cluster.lab.run("router", "sh", "-c", f"({program}) >/tmp/agents 2>&1 &")
        until(lambda: "ready" in cluster.lab.run("router", "cat", "/tmp/agents"), "the agents are there", FILL_SECONDS)

        def felixctl(*arguments: str) -> dict[str, Any]:
            url = f"kubernetes://{KUBECONFIG}-{VIEWER}"
            command = (sys.executable, "-m", "felixctl", "node", "status", "--all", "--datastore", url, *arguments)
            return dict(json.loads(cluster.lab.run("router", sys.executable, "-c", MEASURED, *command)))

        text = felixctl()
        odd, unserved = NODES // 100, NODES // 100
        served = f"{NODES - unserved:,}"
        first = f"{NODES + 1:,} nodes: {served} answered, {served} are ready, on {odd} something is wrong."
        assert text["out"].splitlines()[0] == first, text["out"][:2000] + text["err"]
        assert "crowd-0007: the BGP session with 192.0.2.250 is not up (Active)\n" in text["out"]
        assert "crowd-0008, crowd-0108, crowd-0208, crowd-0308, crowd-0408 and 45 more: error trying" in text["out"]
        assert "n1: no agent of felix-py runs there" in text["out"]
        assert len(text["out"].splitlines()) < 2 * odd + 20
        found = felixctl("-o", "json")
        assert len(json.loads(found["out"])["nodes"]) == NODES - unserved
        figures = {key: found[key] for key in ("seconds", "cpu_seconds", "peak_kb")} | {"nodes": NODES}
    (TREE / "build" / "all-nodes.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))
