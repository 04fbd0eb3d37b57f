from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.runtimes.handbook import commands
from tests.runtimes.image import IMAGE
from tests.runtimes.machine import Machine, eventually
from tests.runtimes.podman import prepare_podman
from tests.runtimes.troubles import agent_stopped, notes, nothing_leaked, wait_until_served

FIRST, SECOND = "k8s-pod-network", "storage"


@pytest.fixture(scope="module")
def prepared(nodes: list[Machine]) -> Iterator[Machine]:
    prepare_podman(nodes[0])
    yield nodes[0]
    assert nothing_leaked(nodes[0])


@pytest.fixture
def host(prepared: Machine) -> Iterator[Machine]:
    yield prepared
    prepared.run("podman", "rm", "--force", "--time", "0", "--all")


def run_container(host: Machine, name: str, *options: str) -> None:
    host.run("podman", "run", "--detach", "--name", name, *options, IMAGE)


def address(host: Machine, name: str, device: str) -> str | None:
    """Return the address of a container's device, None if it has none."""
    for line in host.run("podman", "exec", name, "ip", "-4", "address", "show").splitlines():
        if line.endswith(f" {device}"):
            return line.split()[1].partition("/")[0]
    return None


def answers(host: Machine, pod: str | None) -> bool:
    return pod is not None and host.try_run("ping", "-c", "1", "-W", "1", pod).returncode == 0


def test_the_pages_commands_for_podman_succeed(host: Machine) -> None:
    for script in commands("podman")[1:]:
        host.sh(script)


@pytest.mark.parametrize(("kept", "left"), [("eth0", SECOND), ("eth1", FIRST)])
def test_a_network_is_connected_and_disconnected_without_the_other(host: Machine, kept: str, left: str) -> None:
    run_container(host, "web", "--network", FIRST)
    before = address(host, "web", "eth0")
    host.run("podman", "network", "connect", SECOND, "web")
    addresses = {device: address(host, "web", device) for device in ("eth0", "eth1")}
    assert addresses["eth0"] == before
    assert all(answers(host, each) for each in addresses.values())
    host.run("podman", "network", "disconnect", left, "web")
    still = addresses.pop(kept)
    assert answers(host, still)
    assert not any(answers(host, each) for each in addresses.values())
    assert address_of_a_new_container(host) not in (still, None)


def address_of_a_new_container(host: Machine) -> str | None:
    run_container(host, "other", "--network", FIRST)
    return address(host, "other", "eth0")


def test_a_container_starts_with_two_networks(host: Machine) -> None:
    run_container(host, "web", "--network", f"{FIRST},{SECOND}")
    assert all(answers(host, address(host, "web", device)) for device in ("eth0", "eth1"))


def test_a_container_is_restarted(host: Machine) -> None:
    run_container(host, "web", "--network", FIRST)
    host.run("podman", "restart", "--time", "0", "web")
    assert answers(host, address(host, "web", "eth0"))


def test_a_container_is_removed_while_the_agent_is_away(host: Machine) -> None:
    run_container(host, "web", "--network", FIRST)
    pod = address(host, "web", "eth0")
    with agent_stopped(host):
        host.run("podman", "rm", "--force", "--time", "0", "web")
        assert len(notes(host)) == 1
    eventually("the note is carried out", lambda: not notes(host))
    assert not answers(host, pod)
    assert f" {pod} " not in host.run("felixctl", "get", "workloadendpoints", "--output", "wide")


def test_after_a_power_cut_the_same_container_starts_with_its_address(host: Machine, nodes: list[Machine]) -> None:
    """The same container id in a new namespace, and no DEL between."""
    run_container(host, "web", "--network", f"{FIRST},{SECOND}")
    before = [address(host, "web", device) for device in ("eth0", "eth1")]
    host.power_cut()
    host.boot()
    wait_until_served(host)
    host.run("podman", "start", "web")
    assert [address(host, "web", device) for device in ("eth0", "eth1")] == before
    assert all(answers(host, each) for each in before)
    eventually("the other node reaches it", lambda: answers(nodes[1], before[0]))
