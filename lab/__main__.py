"""`python -m lab NAME`: the processes of one lab, from the fork of its world to its end. Started by lab/host.py.

Standard input holds one JSON line (the spec's text, and how to run it); standard output gets JSON lines: progress,
then one report or one failure. After that the lab stays, serves /run/lab.sock within its world, and ends with its
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

from lab.namespaces import NamespaceError, become_world, hold_node
from lab.node_namespace import ROUTER
from lab.spec import Spec, parse

CONTROL = "/run/lab.sock"
LOG = "/var/log/lab.log"
BINDS = (Path(__file__).resolve().parent.parent, Path(sys.prefix), Path(sys.base_prefix))


def main() -> int:
    order = json.loads(sys.stdin.readline())
    spec = parse(order["spec"])
    try:
        become_world(BINDS, dies_with_parent=order["dies_with_parent"])
        os.dup2(os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        return _direct(spec, order)
    except NamespaceError as error:
        _say({"failed": str(error)})
    except Exception as error:
        # Whatever it is, the world ends with it, and its log with the world.
        traceback.print_exc()
        _say({"failed": f"run lab {spec.name}: {type(error).__name__}: {error}"})
    return 1


def _direct(spec: Spec, order: Mapping[str, Any]) -> int:
    """Make the nodes while this process still has one thread, then hand over to the loop."""
    names = [ROUTER, *(place.name for place in spec.places)]
    _tell("the private world is there; making nodes", 0, len(spec.nodes))
    holders = {name: hold_node(name, BINDS) for name in names}

    from lab.topology import wire

    wire(spec, holders)
    _tell("nodes are wired", len(spec.nodes), len(spec.nodes))

    from lab.cluster import Cluster
    from lab.control import serve

    return asyncio.run(serve(Cluster(spec, holders, _tell, order["started"]), CONTROL, order["give_up_seconds"], _say))


def _tell(what: str, done: int, wanted: int) -> None:
    _say({"progress": what, "done": done, "wanted": wanted})


def _say(message: Mapping[str, Any]) -> None:
    try:
        print(json.dumps(message), flush=True)
    except BrokenPipeError:  # whoever asked for the lab has its report and is gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    sys.exit(main())
