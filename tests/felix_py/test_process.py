"""The agent's process from outside: what it prints when it cannot start, and with which code it ends."""

from __future__ import annotations

import fcntl
import os
import resource
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

import datastore
from datastore.kinds.node import Node
from tests.kernel.netns import namespace

PATIENCE_SECONDS = 60


@pytest.fixture(name="namespace")
def host() -> Iterator[str]:
    """A host of one's own: eth0 has 192.0.2.1/24.

    (bridge eth0)  192.0.2.1/24
    """
    with namespace("process") as made:
        made.batch("link add eth0 type bridge\naddr add 192.0.2.1/24 dev eth0\nlink set eth0 up\n")
        yield made.name


def agent(namespace: str, folder: Path, **settings: str) -> subprocess.Popen[str]:
    environment: Mapping[str, str] = {
        "PATH": os.environ["PATH"],
        "NODENAME": "n1",
        "IP": "autodetect",
        "FELIX_DATASTORE": f"sqlite://{folder}/cluster.db",
        "FELIX_RUN_DIR": str(folder / "run"),
        "FELIX_STATE_DIR": str(folder / "state"),
        "FELIX_MTUFILE": str(folder / "mtu"),
        "CALICO_NODENAME_FILE": str(folder / "nodename"),
        "FELIX_HEALTHPORT": "0",
        **settings,
    }
    command = ["ip", "netns", "exec", namespace, sys.executable, "-m", "felix_py"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def output_of(process: subprocess.Popen[str], code: int) -> str:
    """Wait for a process to end with this code; return its output."""
    output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == code, output
    assert "Traceback" not in output
    return output


@pytest.mark.parametrize(
    ("name", "value", "reason", "allowed"),
    [
        ("CALICO_ROUTER_ID", "foo", '"foo" is not an IP address', "an IPv4 address other than 0.0.0.0, or hash"),
        ("FELIX_STATUSMODE", "rw", "not valid", "a file's mode in octal such as 0660"),
        ("FELIX_INTERFACEPREFIX", "a/b", "not valid", "1 to 4 letters, digits, dots, dashes and underscores"),
    ],
)
def test_a_bad_setting_ends_it_with_2_and_one_sentence(
    namespace: str, tmp_path: Path, name: str, value: str, reason: str, allowed: str
) -> None:
    output = output_of(agent(namespace, tmp_path, **{name: value}), 2)
    assert output == f"setting {name}='{value}': {reason}; use {allowed}; the agent does not start\n"


async def test_another_nodes_address_ends_it_with_1_and_names_the_node(namespace: str, tmp_path: Path) -> None:
    store = datastore.open(f"sqlite://{tmp_path}/cluster.db")
    await store.create(Node.make("rival", annotations={"projectcalico.org/IPv4Address": "192.0.2.1/24"}))
    await store.close()
    output = output_of(agent(namespace, tmp_path), 1)
    assert "node rival has it already" in output
    assert output.splitlines()[-1].endswith('; the agent ends"')


def test_a_second_agent_on_a_node_ends_with_1_before_it_touches_anything(namespace: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with (tmp_path / "run" / "agent.lock").open("w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        output = output_of(agent(namespace, tmp_path), 1)
    assert f"start the agent in {tmp_path}/run: another agent is already running" in output
    assert not (tmp_path / "cluster.db").exists()
    assert stat.S_IMODE((tmp_path / "run" / "agent.lock").stat().st_mode) == 0o600  # who can open it can hold it


def test_an_unreadable_datastore_ends_it_with_1_and_names_the_file(namespace: str, tmp_path: Path) -> None:
    (tmp_path / "cluster.db").write_text("this is no database, and long enough to be looked at\n" * 100)
    assert f"{tmp_path}/cluster.db" in output_of(agent(namespace, tmp_path), 1)


def test_no_address_that_fits_ends_it_with_1_and_names_the_setting(namespace: str, tmp_path: Path) -> None:
    output = output_of(agent(namespace, tmp_path, IP_AUTODETECTION_METHOD="interface=wlan.*"), 1)
    assert "interface=wlan.*" in output


@contextmanager
def ready_agent(namespace: str, folder: Path, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """Run an agent until it says that it is ready, and end it afterwards."""
    process = agent(namespace, folder, **settings)
    assert process.stdout is not None
    try:
        output = ""
        while "ready: pods may be attached" not in output:
            line = process.stdout.readline()
            assert line, output
            output += line
        yield process
    finally:
        process.kill()
        process.wait()


def test_it_takes_as_many_descriptors_as_the_host_lets_it_have(namespace: str, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    hard = min(before[1], 5000) if before[1] != resource.RLIM_INFINITY else 5000
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[0], 512), before[1]))
        with ready_agent(namespace, tmp_path) as process:
            soft, _ = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
            assert soft >= hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_sigterm_ends_it_with_0_once_it_is_ready(namespace: str, tmp_path: Path) -> None:
    with ready_agent(namespace, tmp_path) as process:
        assert (tmp_path / "nodename").read_text() == "n1"
        assert (tmp_path / "mtu").read_text() == "1500"
        process.terminate()
        assert "routes stay as they are" in output_of(process, 0)


def page_when(namespace: str, address: str, path: str, says: str) -> str:
    """Return a page of the agent in a namespace, its status first, as soon as it says this."""
    ask = f"import http.client as h; c = h.HTTPConnection({address!r}, timeout=5); c.request('GET', {path!r})"
    ask += "; answer = c.getresponse(); print(answer.status, answer.read().decode())"
    asking = ["ip", "netns", "exec", namespace, sys.executable, "-c", ask]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while says not in (found := subprocess.run(asking, capture_output=True, text=True, check=False)).stdout:
        assert time.monotonic() < deadline, (found.stdout, found.stderr)
        time.sleep(0.1)
    return found.stdout


def test_an_agent_that_waits_for_the_api_server_is_alive_and_says_so(namespace: str, tmp_path: Path) -> None:
    kubeconfig, health = tmp_path / "kubeconfig", "192.0.2.1:9099"
    kubeconfig.write_text(
        "{apiVersion: v1, kind: Config, current-context: c, users: [],"
        " clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1', insecure-skip-tls-verify: true}}],"
        " contexts: [{name: c, context: {cluster: c, user: ''}}]}"
    )
    url = f"kubernetes://{kubeconfig}"
    process = agent(namespace, tmp_path, FELIX_DATASTORE=url, FELIX_HEALTHHOST="192.0.2.1", FELIX_HEALTHPORT="9099")
    try:
        subprocess.run(["ip", "-n", namespace, "link", "set", "lo", "up"], check=True)
        waits = page_when(namespace, health, "/readyz", "waiting for the API server: ")
        assert waits.startswith("503 not ready: waiting for the API server: ") and "127.0.0.1:1" in waits
        assert page_when(namespace, health, "/healthz", "alive").startswith("200")
        command = [sys.executable, "-m", "felixctl", "node", "status", "--run-dir", str(tmp_path / "run")]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
        assert "waiting for the API server" in " ".join(said.split())
    finally:
        process.terminate()
        assert "routes stay as they are" in output_of(process, 0)


def test_a_port_of_health_that_cannot_be_had_is_a_warning_and_asked_for_again(namespace: str, tmp_path: Path) -> None:
    process = agent(namespace, tmp_path, FELIX_HEALTHHOST="192.0.2.99", FELIX_HEALTHPORT="9099")
    assert process.stdout is not None
    try:
        said = "serve health on 192.0.2.99 port 9099: Cannot assign requested address; only the socket serves it"
        assert any(said in line and "next try in" in line for line in process.stdout)
        for change in ("link set lo up", "address add 192.0.2.99/24 dev eth0"):
            subprocess.run(["ip", "-n", namespace, *change.split()], check=True)
        health = "192.0.2.99:9099"
        assert page_when(namespace, health, "/healthz", "alive").startswith("200")
        page_when(namespace, health, "/status", "404")  # which is for who may read the socket, or is admitted
    finally:
        process.kill()
        process.wait()


def test_a_node_whose_address_is_on_its_loopback_takes_the_mtu_of_its_other_devices(
    namespace: str, tmp_path: Path
) -> None:
    for change in ("address add 203.0.113.7/32 dev lo", "link set eth0 mtu 1400"):
        subprocess.run(["ip", "-n", namespace, *change.split()], check=True)
    with ready_agent(namespace, tmp_path, IP="203.0.113.7"):
        assert (tmp_path / "mtu").read_text() == "1400"


def test_a_changed_mtu_of_the_uplink_is_that_of_new_pods_without_a_restart(namespace: str, tmp_path: Path) -> None:
    with ready_agent(namespace, tmp_path):
        subprocess.run(["ip", "-n", namespace, *["link", "set", "eth0", "mtu", "1300"]], check=True)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (found := (tmp_path / "mtu").read_text()) != "1300":
            assert time.monotonic() < deadline, found
            time.sleep(0.01)


def test_another_network_that_the_runtime_takes_first_is_in_log_and_readiness(namespace: str, tmp_path: Path) -> None:
    folder = tmp_path / "net.d"
    folder.mkdir()
    (folder / "05-bridge.conflist").write_text("{}")
    process = agent(namespace, tmp_path, FELIX_CNICONFDIR=str(folder))
    try:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or "ready: pods may be attached" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], lines
    finally:
        process.kill()
        process.wait()
    assert f"another configuration comes first in {folder}: 05-bridge.conflist" in "".join(lines)
