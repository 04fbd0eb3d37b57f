"""The units of packaging/systemd and the commands of docs/standalone.md, with systemd."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtimes.conftest import CONFLIST, install, start
from tests.runtimes.handbook import commands
from tests.runtimes.machine import Machine, eventually, machines
from tests.runtimes.podman import prepare_podman
from tests.runtimes.troubles import SOCKET, wait_until_served

ON_THE_OTHER = {"10.65.0.0": "10.66.0.0", "AS=64513": "AS=64514", "64514}": "64513}", "192.0.2.2": "192.0.2.1"}
CHOSEN = "/etc/systemd/system/felix-agent.service.d/test.conf"


def test_the_units_are_sound_for_systemd(nodes: list[Machine]) -> None:
    for unit in ("felix-agent", "felix-sidecar"):
        nodes[0].run("systemd-analyze", "verify", "--man=no", f"/etc/systemd/system/{unit}.service")


def test_the_commands_that_look_at_a_node_succeed(nodes: list[Machine]) -> None:
    for script in commands("Start")[1:]:
        nodes[0].sh(script)


def show(machine: Machine, unit: str, name: str) -> str:
    return machine.run("systemctl", "show", "--value", "--property", name, unit).strip()


def test_an_agent_that_is_killed_is_started_again_and_the_sidecar_stays(nodes: list[Machine]) -> None:
    agent, sidecar = (show(nodes[0], unit, "MainPID") for unit in ("felix-agent", "felix-sidecar"))
    nodes[0].sh(f"kill -KILL {agent}")
    eventually("another agent runs", lambda: show(nodes[0], "felix-agent", "MainPID") not in ("0", agent))
    wait_until_served(nodes[0])
    assert show(nodes[0], "felix-sidecar", "MainPID") == sidecar
    assert nodes[0].live_path("/run/felix/bgp/bgp.sock").is_socket()


def test_a_sidecar_that_is_killed_is_started_again(nodes: list[Machine]) -> None:
    sidecar = show(nodes[0], "felix-sidecar", "MainPID")
    nodes[0].sh(f"kill -KILL {sidecar}")
    eventually("another runs", lambda: show(nodes[0], "felix-sidecar", "MainPID") not in ("0", sidecar))
    eventually("its sessions are up", lambda: "Established" in nodes[0].run("felixctl", "node", "status"))


def test_a_network_that_comes_first_in_the_folder_is_said(nodes: list[Machine]) -> None:
    nodes[1].write("/etc/cni/net.d/05-other.conflist", '{"name": "other", "plugins": []}')
    nodes[1].run("systemctl", "restart", "felix-agent")
    wait_until_served(nodes[1])
    assert "05-other.conflist" in nodes[1].run("felixctl", "node", "status")
    nodes[1].path("/etc/cni/net.d/05-other.conflist").unlink()
    nodes[1].run("systemctl", "restart", "felix-agent")
    wait_until_served(nodes[1])
    assert "05-other.conflist" not in nodes[1].run("felixctl", "node", "status")


@pytest.fixture
def hosts(tmp_path: Path, nodes: list[Machine]) -> Iterator[list[Machine]]:
    """Two machines with nothing in common but the wire, as the page has two hosts; their agents are not started."""
    with machines(tmp_path, h1="192.0.2.1", h2="192.0.2.2") as both:
        for machine in both:
            install(machine, like=nodes[0])
        yield both


@pytest.fixture
def host(tmp_path: Path, nodes: list[Machine]) -> Iterator[Machine]:
    """One machine on which nothing is started yet."""
    with machines(tmp_path, h1="192.0.2.1") as (machine,):
        install(machine, like=nodes[0])
        yield machine


def two_hosts(first: Machine, second: Machine) -> None:
    before, after = commands("Two hosts")
    for machine in (first, second):
        for number, script in enumerate((before, after)):
            for here, there in ON_THE_OTHER.items() if machine is second else ():
                script = script.replace(here, there)
            if number:
                start(machine, settings="")
            machine.sh(script)


def learned(machine: Machine) -> str:
    return machine.run("ip", "route", "show", "proto", "81")


def test_two_hosts_know_each_others_pods_until_one_is_uninstalled(hosts: list[Machine]) -> None:
    two_hosts(*hosts)
    for machine in hosts:
        prepare_podman(machine)
        machine.sh("podman run --detach --name web --cap-add NET_RAW docker.io/local/busybox:1")
    eventually("the first has learned a block", lambda: learned(hosts[0]).startswith("10.66."))
    eventually("so has the second", lambda: learned(hosts[1]).startswith("10.65."))
    [address] = hosts[1].run("podman", "inspect", "--format", ADDRESS, "web").split()
    hosts[0].run("podman", "exec", "web", "ping", "-c", "1", "-W", "2", address)
    for script in commands("Uninstall"):
        hosts[1].sh(script)
    eventually("the block is withdrawn", lambda: learned(hosts[0]) == "")
    assert_nothing_is_left(hosts[1])


ADDRESS = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"


def assert_nothing_is_left(machine: Machine) -> None:
    assert machine.run("ip", "route", "show", "proto", "80") == learned(machine) == ""
    assert "cali" not in machine.run("ip", "-brief", "link")
    assert "felix" not in machine.run("systemctl", "list-units", "--all", "--type=service")
    assert "felix" not in machine.run("busybox", "ps", "-o", "args")
    folders = ("/etc", "/opt", "/run", "/var/lib")
    assert machine.run("find", *folders, "-xdev", "-name", "*felix*", "-not", "-path", "/etc/systemd/*") == ""


def test_the_agent_names_the_capability_that_it_lacks(host: Machine) -> None:
    host.write(CHOSEN, "[Service]\nCapabilityBoundingSet=\nCapabilityBoundingSet=CAP_NET_ADMIN\n")
    host.sh(commands("Start")[0])
    eventually("the log names it", lambda: "the agent lacks CAP_SYS_ADMIN" in host.log("felix-agent"))
    assert not host.path(CONFLIST).exists()
    host.path(CHOSEN).unlink()
    host.sh("systemctl daemon-reload; systemctl restart felix-agent")
    eventually("it is ready", host.path(CONFLIST).exists)


def test_a_setting_that_is_not_allowed_ends_the_agent_for_good(host: Machine) -> None:
    host.sh("echo FELIX_METRIC=high >> /etc/felix/felix.cfg")
    host.sh(commands("Start")[0])
    eventually("it has ended", lambda: show(host, "felix-agent", "ActiveState") == "failed")
    assert show(host, "felix-agent", "ExecMainStatus") == "2"
    assert show(host, "felix-agent", "NRestarts") == "0"
    assert "FELIX_METRIC" in host.log("felix-agent")


def test_without_systemd_the_two_commands_serve(host: Machine) -> None:
    sidecar, agent = commands("Without systemd")
    with host.running("sh", "-c", f"exec {sidecar}"), host.running("sh", "-c", f"exec {agent}"):
        eventually("the agent serves", host.live_path(SOCKET).is_socket)
        eventually("and installs the network", host.path(CONFLIST).exists)
