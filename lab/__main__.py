"""`python -m lab NAME`: the processes of one lab, from the first fork to its end. Started by lab/host.py.

Standard input holds one JSON line (the spec's text, and how to run it); standard output gets JSON lines: progress,
then one report or one failure. After that the lab stays, serves /run/lab.sock within its namespaces, and ends with its
first process.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.namespaces import NamespaceError, become_sandbox, make_node_namespace
from lab.node_namespace import ROUTER
from lab.paths import CONTROL_SOCKET, TREE
from lab.progress import emit, emit_progress
from lab.spec import LabSpec, parse
from lab.wall_clock import PRELOAD

LOG = "/var/log/lab.log"
BINDS = (TREE, Path(sys.prefix), Path(sys.base_prefix))


def main() -> int:
    try:
        order = json.loads(sys.stdin.readline())
    except ValueError:
        print("start a lab: there is no order on standard input; felixctl lab starts labs (--help)", file=sys.stderr)
        return 2
    spec = parse(order["spec"])
    try:
        become_sandbox(BINDS, dies_with_parent=order["dies_with_parent"])
        if order["preload"]:
            Path(PRELOAD).write_text(order["preload"] + "\n")
        os.dup2(os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        return _supervise(spec, order)
    except NamespaceError as error:
        emit({"failed": str(error)})
    except Exception as error:
        # Whatever it is, the lab ends with it, and its log with the lab.
        traceback.print_exc()
        emit({"failed": f"run lab {spec.name}: {type(error).__name__}: {error}"})
    return 1


def _supervise(spec: LabSpec, order: Mapping[str, Any]) -> int:
    """Make the nodes while this process still has one thread, then hand over to the loop."""
    names = [ROUTER, *(host.name for host in spec.hosts)]
    emit_progress("the namespaces are there; making nodes", 0, len(spec.nodes))
    namespace_pids = {name: make_node_namespace(name, BINDS) for name in names}

    from lab.topology import wire

    wire(spec, namespace_pids)
    emit_progress("nodes are wired", len(spec.nodes), len(spec.nodes))

    from lab.cluster import LabCluster
    from lab.control import serve

    cluster = LabCluster(spec, namespace_pids, emit_progress, order["started"])
    return asyncio.run(serve(cluster, CONTROL_SOCKET, order["give_up_seconds"]))


if __name__ == "__main__":
    sys.exit(main())
