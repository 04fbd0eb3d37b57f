"""felix-uninstall on a host of its own: what it removes, what it leaves to others, and when it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cni.configurations import BINARY, CONFLIST
from felix_py.packet_filter.forward_accept import CHAINS, accepting
from felix_py.startup.single_instance import single_instance
from felix_py.uninstall import CALICOS, CALICOS_ASIDE
from kernel.netns import inside
from kernel.nftables_foreign_writer import ForeignChainWriter
from tests.kernel.netns import Namespace, namespace

IPTABLES = ("iptables-nft", "ip6tables-nft")
RULES = """\
add table inet felix
add chain inet felix nat_outgoing { type nat hook postrouting priority 100; }
add table inet others
"""


@pytest.fixture
def host() -> Iterator[Namespace]:
    """A host with routes and rules as an agent leaves them, and with others' beside them.

    (bridge eth0) 192.0.2.1/24    (bridge tunl0) 10.65.9.9/32, unless the kernel has one
    """
    with namespace("uninstall") as made:
        made.batch("link add eth0 type bridge\naddr add 192.0.2.1/24 dev eth0\nlink set eth0 up\n")
        if "tunl0" not in made.ip("link show"):
            made.batch("link add tunl0 type bridge\n")
        made.batch(
            "addr add 10.65.9.9/32 dev tunl0\nlink set tunl0 up\n"
            "route add blackhole 10.65.1.0/26 proto 80 metric 1030\n"
            "route add 10.65.2.0/26 via 192.0.2.2 proto 81 metric 1030\n"
            "route add blackhole fd00:65::/122 proto 80 metric 1030\n"
            "route add 10.66.0.0/26 via 192.0.2.2 proto 80 metric 1024\n"
            "route add 10.67.0.0/26 via 192.0.2.2 proto 12\n"
        )
        subprocess.run(["ip", "netns", "exec", made.name, "nft", "-f", "-"], input=RULES, text=True, check=True)
        with inside(made.descriptor), closing(ForeignChainWriter(CHAINS)) as forward:
            for tool in IPTABLES:
                made.run(tool, "-P", "FORWARD", "DROP")
                made.run(tool, "-A", "FORWARD", "-i", "docker0", "-j", "ACCEPT")
            assert forward.bring_in_line(accepting("cali"))
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of such a host: state/, run/, calico/, net.d/ and bin/, the last two with a file of others'."""
    for name in ("state/deletes/note", "run/bgp/lock", "calico/nodename", "calico/mtu", f"net.d/{CONFLIST}"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "bin").mkdir()
    for name in (f"bin/{BINARY}", "bin/portmap", "net.d/99-loopback.conf"):
        (tmp_path / name).touch()
    return tmp_path


def uninstall(host: Namespace, folder: Path, within: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "FELIX_RUN_DIR": f"{folder}/run",
        "FELIX_STATE_DIR": f"{folder}/state",
        "FELIX_MTUFILE": f"{folder}/calico/mtu",
        "CALICO_NODENAME_FILE": f"{folder}/calico/nodename",
        "FELIX_CNICONFDIR": f"{folder}/net.d",
        "FELIX_CNIBINDIR": f"{folder}/bin",
    }
    command = ["ip", "netns", "exec", host.name, *within, sys.executable, "-m", "felix_py.uninstall"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_nothing_of_ours_is_left_and_all_of_others(host: Namespace, folder: Path) -> None:
    ended = uninstall(host, folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(path.name for path in folder.iterdir()) == ["bin", "net.d"]
    assert files(folder) == {"bin/portmap", "net.d/99-loopback.conf"}
    routes = host.ip("route show")
    assert "10.65." not in routes
    assert "10.66.0.0/26" in routes and "10.67.0.0/26" in routes
    assert "fd00:65::" not in host.ip("-6 route show")
    tables = host.run("nft", "list", "tables").splitlines()
    assert set(tables) == {"table inet others", "table ip filter", "table ip6 filter"}
    for tool in IPTABLES:
        assert host.run(tool, "-S", "FORWARD") == "-P FORWARD DROP\n-A FORWARD -i docker0 -j ACCEPT\n"
    assert "10.65.9.9" not in host.ip("addr show dev tunl0") and "UP" not in host.ip("link show dev tunl0")


@pytest.mark.parametrize("around", ["rw", "ro"])
def test_of_folders_that_are_mounted_as_in_a_container_the_contents_go(
    host: Namespace, folder: Path, around: str
) -> None:
    mounted = ("state", "run", "calico")
    binds = "; ".join(f"mount --bind {folder}/{name} {folder}/{name}" for name in (*mounted, "net.d", "bin"))
    binds += f"; mount --rbind {folder} {folder}; mount -o remount,bind,{around} {folder}; cd {folder}"
    ended = uninstall(host, folder, ("unshare", "--mount", "sh", "-ec", f'{binds}; exec "$@"', "sh"))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert files(folder) == {"bin/portmap", "net.d/99-loopback.conf"}
    assert all(not [*(folder / name).iterdir()] for name in mounted)
    assert ended.stdout.endswith(f"and so stay: {folder}/state, {folder}/run, {folder}/calico\n")


def test_what_host_local_noted_of_our_network_goes_and_of_others_stays(host: Namespace, folder: Path) -> None:
    data = folder / "networks"
    for name in ("ours/10.0.0.2", "others/10.1.0.2"):
        (data / name).parent.mkdir(parents=True)
        (data / name).touch()
    plugin = {"type": "felix", "ipam": {"type": "host-local", "dataDir": str(data)}}
    (folder / "net.d" / CONFLIST).write_text(json.dumps({"name": "ours", "plugins": [plugin]}))
    assert uninstall(host, folder).returncode == 0
    assert [path.name for path in data.iterdir()] == ["others"]


def test_a_second_time_there_is_nothing_to_do(host: Namespace, folder: Path) -> None:
    uninstall(host, folder)
    again = uninstall(host, folder)
    assert (again.returncode, again.stderr, again.stdout.count("\n")) == (
        0,
        "",
        2,
    )  # its own lock, and that all is gone


def test_a_node_that_calico_has_again_keeps_what_calico_uses(host: Namespace, folder: Path) -> None:
    for name in (CALICOS, CALICOS_ASIDE):
        (folder / "net.d" / name).touch()
    assert uninstall(host, folder).returncode == 0
    assert {"calico/nodename", "calico/mtu", f"net.d/{CALICOS}"} <= files(folder)
    assert f"net.d/{CALICOS_ASIDE}" not in files(folder)
    assert "10.65.9.9" in host.ip("addr show dev tunl0")


def test_it_refuses_beside_an_agent(host: Namespace, folder: Path) -> None:
    before = files(folder)
    with single_instance(folder / "run"):
        ended = uninstall(host, folder)
    assert ended.returncode == 1 and "another agent is already running; nothing is removed" in ended.stderr
    assert before <= files(folder) and "10.65.1.0/26" in host.ip("route show")


def test_it_refuses_beside_a_sidecar(host: Namespace, folder: Path) -> None:
    holder = f"import fcntl, sys; f = open({str(folder / 'run/bgp/lock')!r}, 'w'); fcntl.flock(f, 2); print(flush=True)"
    program = f"{holder}; sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as sidecar:
        assert sidecar.stdout and sidecar.stdin
        sidecar.stdout.readline()
        ended = uninstall(host, folder)
        sidecar.stdin.close()
    assert ended.returncode == 1 and "the sidecar is still running; nothing is removed" in ended.stderr


def test_it_refuses_while_pods_are_attached(host: Namespace, folder: Path) -> None:
    host.batch('link add cali1 type veth peer name tmp1\nlink set cali1 alias "felix k8s-pod-network c0ffee eth0"\n')
    ended = uninstall(host, folder)
    assert ended.returncode == 1
    assert "pods are attached (cali1 of container c0ffee); drain the node" in ended.stderr
    assert f"net.d/{CONFLIST}" in files(folder)


def test_what_cannot_be_removed_is_named_and_the_rest_goes(host: Namespace, folder: Path) -> None:
    (folder / "bin" / BINARY).unlink()
    (folder / "bin" / BINARY).mkdir()
    ended = uninstall(host, folder)
    assert ended.returncode == 1
    assert f"left on this host: {folder}/bin/{BINARY}; see above" in ended.stderr
    assert not (folder / "state").exists() and "10.65." not in host.ip("route show")


def test_a_setting_that_is_not_allowed_ends_it_as_it_ends_the_agent() -> None:
    command = [sys.executable, "-m", "felix_py.uninstall"]
    ended = subprocess.run(command, env={"FELIX_METRIC": "x"}, capture_output=True, text=True, check=False)
    assert ended.returncode == 2 and "FELIX_METRIC" in ended.stderr
