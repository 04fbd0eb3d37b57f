"""`python -m tests.cluster up [NODES [PROXYMODE]]`: a real Kubernetes with felix-py on this machine, which stays up.

`python -m tests.cluster down` ends it. Its folder is build/cluster, where a process in the background holds it
(tests/cluster/hold.py).
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from rich import box
from rich.console import Console
from rich.table import Table

from felix_py.status.status_json import from_json
from lab.node_namespace import kill
from lab.report import show
from lab.verdict import faults
from tests.cluster.demo import ClusterReport
from tests.cluster.hold import IsUp, alone, lock_of
from tests.cluster.node import PROXY_MODES
from tests.runtimes.machine import TREE, remove_leftovers

FOLDER = TREE / "build" / "cluster"
LOG = FOLDER.with_suffix(".log")
NODES = 3
PAGE_WIDTH = 110


def up(nodes: int, proxy_mode: str) -> int:
    """Start the process that holds the cluster, show how far it is, and its report."""
    began = time.monotonic()
    command = [sys.executable, "-m", "tests.cluster.hold", str(FOLDER), str(nodes), proxy_mode]
    FOLDER.parent.mkdir(exist_ok=True)
    with LOG.open("wb") as log:  # it stays, and must not keep this command's streams open
        holder = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        )
    assert holder.stdout
    try:
        for line in holder.stdout:
            match json.loads(line):
                case {"progress": what, "done": done, "wanted": wanted}:
                    _say(f"{time.monotonic() - began:5.1f} s  {done}/{wanted} {what}")
                case {"report": report}:
                    return _show(from_json(ClusterReport, report))
                case {"failed": sentence}:
                    _say(f"kube: {sentence}")
    except KeyboardInterrupt:
        _say("kube: interrupted; the cluster ends")
        holder.terminate()
    if holder.wait():
        _say(f"kube: {LOG} has more")
    return 1


def down() -> int:
    """End the cluster, whatever is left of it."""
    told = False
    while True:
        try:
            with alone(FOLDER):
                shutil.rmtree(FOLDER, ignore_errors=True)
                remove_leftovers()
            return 0
        except IsUp:
            if not told:
                with suppress(OSError, ValueError):
                    told = kill(int(lock_of(FOLDER).read_text()), signal.SIGTERM)
            time.sleep(0.1)


def _show(report: ClusterReport) -> int:
    console = Console()
    if not console.is_terminal:
        console.width = PAGE_WIDTH
    show(console, report.state, kind="cluster")
    table = Table(title="services", title_justify="left", title_style="bold blue", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("service", "address", "answered from nodes and pods"):
        table.add_column(column)
    for service in report.services:
        table.add_row(service.name, service.address, f"{service.answered}/{service.asked}")
    console.print(table)
    console.print(f"export KUBECONFIG={report.kubeconfig}", highlight=False, soft_wrap=True)
    troubles = faults(report.state, [])
    troubles += [f"service {each.name} does not answer all" for each in report.services if each.answered < each.asked]
    for trouble in troubles:
        console.print(f"✗ {trouble}", style="bold red")
    return 1 if troubles else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    match arguments:
        case ["down"]:
            return down()
        case ["up"]:
            return up(NODES, PROXY_MODES[0])
        case ["up", nodes] if nodes.isdecimal():
            return up(int(nodes), PROXY_MODES[0])
        case ["up", nodes, mode] if nodes.isdecimal() and mode in PROXY_MODES:
            return up(int(nodes), mode)
    _say(__doc__ or "")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
