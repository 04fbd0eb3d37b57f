"""What may befall a node while runtimes call: an agent that is away, a locked datastore, a full pool, odd input."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping

from tests.runtimes.machine import Machine, eventually

SOCKET = "/run/felix/cni.sock"
NOTES = "/var/lib/felix/deletes"
PLUGIN = "/opt/cni/bin/felix"


def wait_until_served(machine: Machine) -> None:
    ready = 'test "$(curl --silent --output /dev/null --write-out %{http_code} http://127.0.0.1:9099/readyz)" = 200'
    eventually(
        f"the agent of {machine.name} is ready: {machine.log('felix-agent')[-2000:]}",
        lambda: machine.live_path(SOCKET).exists() and machine.try_run("sh", "-c", ready).returncode == 0,
    )


@contextlib.contextmanager
def agent_stopped(machine: Machine) -> Iterator[None]:
    machine.run("systemctl", "stop", "felix-agent")
    try:
        yield
    finally:
        machine.run("systemctl", "start", "felix-agent")
        wait_until_served(machine)


@contextlib.contextmanager
def datastore_locked(machine: Machine) -> Iterator[None]:
    """Hold the lock of the datastore's writers."""
    with contextlib.closing(sqlite3.connect(machine.shared / "cluster.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")


def notes(machine: Machine) -> list[str]:
    """Return the DELs that the plugin has noted and the agent has not carried out."""
    folder = machine.path(NOTES)
    return [each.name for each in folder.iterdir() if not each.name.startswith(".")]


def call_plugin(machine: Machine, verb: str, stdin: bytes, **more: str) -> tuple[int, Mapping[str, object]]:
    """Call the plugin without a runtime; return its exit code, and the object that it prints."""
    environment = {
        "CNI_COMMAND": verb,
        "CNI_CONTAINERID": "odd",
        "CNI_IFNAME": "eth0",
        "CNI_PATH": "/opt/cni/bin",
        "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=odd",
    } | more
    ran = subprocess.run(
        [*machine.inside(), PLUGIN], input=stdin, env=environment, capture_output=True, check=False, timeout=90
    )
    return ran.returncode, json.loads(ran.stdout or b"{}")


def apply(machine: Machine, kind: str, name: str, **spec: object) -> None:
    resource = {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": {"name": name}, "spec": spec}
    machine.run("felixctl", "apply", "--filename", "-", feed=json.dumps(resource))


def nothing_leaked(machine: Machine) -> bool:
    """Return whether the cluster has neither containers nor addresses, and its records agree."""
    told = machine.run("felixctl", "ipam", "check")
    return "record 0 allocations" in told and "found 0 problems" in told
