"""IPIP under a kernel that has it: `python -m tests.vm.ipip [short]`, run by tests/vm/vmrun or tests/vm/umlrun.

      n1 ─┐                        n1, n2: 192.0.2.0/24        n3: 198.51.100.0/24
          ├─ rack1 ─ router ─ rack2 ─ n3
      n2 ─┘                        the router has no route to pods until a claim adds them

One lab serves all claims, since a start takes a minute here. Each claim is a function; the first failure ends the run
with its sentence. Figures go to build/ipip.json. That a node takes packets of the tunnel from nodes alone is no claim
here, since the kernel of umlrun lacks nftables for it: tests/scenarios/test_borrowing_in_tunnels.py sees the rules in
every node, and tests/felix_py/packet_filter/test_tunnel_guard.py sends packets against them.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from lab.paths import DATASTORE
from tests.scenarios.cluster import Lab, lab_of, until

RACK1, RACK2 = "192.0.2.0/24", "198.51.100.0/24"
PER_SECOND, PINGS = 5, 3
WAIT_SECONDS, LOOK_SECONDS = 180.0, 3.0
CAPTURE = Path(__file__).with_name("capture.py")
Figures = dict[str, Any]


def spec(*racks: str, mode: str) -> dict[str, Any]:
    """Return a lab with a node and a pod on each of these racks, in turn."""
    return {
        "subnets": [{"name": "rack1", "ipv4": RACK1}, {"name": "rack2", "ipv4": RACK2}],
        "nodes": [{"name": f"n{i}", "subnet": rack} for i, rack in enumerate(racks, 1)],
        "pods": 1,
        "pools": [{"name": "pods", "cidr": "10.65.0.0/16", "ipipMode": mode, "natOutgoing": False}],
    }


class Racks:
    """The lab, and what the claims need from it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        nodes, pods = lab.report["nodes"], lab.report["pods"]
        self.address: dict[str, str] = {node["name"]: node["addresses"][0] for node in nodes}
        self.blocks: dict[str, list[str]] = {}
        self.pod: dict[str, str] = {pod["node"]: pod["addresses"][0] for pod in pods}

    def read_blocks(self) -> None:
        """A node may claim a second block, for its tunnel's address beside its pods'."""
        self.blocks = {node: self.status(node)["blocks"] for node in self.address}

    def status(self, node: str) -> dict[str, Any]:
        return self.lab.page(node, "status")

    def tunnelled(self, mode: str, node: str, other: str) -> bool:
        same = self.address[node].rpartition(".")[0] == self.address[other].rpartition(".")[0]
        return mode == "Always" or (mode == "CrossSubnet" and not same)

    def wrong_routes(self, mode: str) -> list[str]:
        """Return what in the kernels is not as the mode says."""
        wrong = []
        self.read_blocks()
        for node in self.address:
            held = {route["dst"]: route for route in json.loads(self.lab.run(node, "ip", "-j", "route"))}
            for other in self.address.keys() - {node}:
                for block in self.blocks[other]:
                    route = held.get(block, {})
                    seen = (
                        route.get("dev"),
                        route.get("protocol"),
                        route.get("gateway"),
                        "onlink" in route.get("flags", ()),
                    )
                    if self.tunnelled(mode, node, other):
                        wanted = ("tunl0", "80", self.address[other], True)
                    else:
                        wanted = ("eth0", "81", route.get("gateway"), False)
                    if seen != wanted or route.get("metric") != 1030:
                        wrong.append(f"{node} to {block} of {other}: {route}, not {wanted}")
        return wrong

    def settle(self, mode: str) -> None:
        self.wait(lambda: not self.wrong_routes(mode), f"all routes are as {mode} says")

    def wait(self, holds: Callable[[], object], what: str) -> None:
        """Wait for something on all nodes. A poll costs a second of work under emulation, so it is done rarely."""
        until(holds, what, WAIT_SECONDS, step=LOOK_SECONDS)

    def set_mode(self, mode: str) -> None:
        """Change the live pool, as a person would."""
        patch = json.dumps({"spec": {"ipipMode": mode}})
        felixctl = (sys.executable, "-m", "felixctl", "patch", "ippool", "pods", "--datastore", DATASTORE)
        self.lab.run("n1", *felixctl, "--patch", patch)

    def lost(self, during: Callable[[], None]) -> tuple[int, int]:
        """Do something while every pod pings the next; return the numbers of packets sent and lost."""
        self.lab.ask("traffic start", per_second=PER_SECOND)
        during()
        traffic = self.lab.ask("traffic stop")
        return traffic["sent"], traffic["lost"]

    def captured(self, place: str, devices: str, during: Callable[[], None]) -> list[str]:
        """Return what tests/vm/capture.py saw meanwhile on these devices of a place."""
        self.lab.run(
            place, "sh", "-c", f"{sys.executable} -I -S {CAPTURE} {devices} >/tmp/seen 2>&1 & echo $! >/tmp/pid"
        )
        until(lambda: "listening" in self.lab.run(place, "cat", "/tmp/seen"), "the capture listens", step=0.5)
        during()
        self.lab.run(place, "sh", "-c", "kill $(cat /tmp/pid)")
        return self.lab.run(place, "cat", "/tmp/seen").splitlines()[1:]

    def ping(self, source: str, target: str) -> None:
        self.lab.run(f"{source}-1", "ping", "-c", str(PINGS), "-i", "0.3", "-W", "10", self.pod[target])


def inside(outer: tuple[str, str], inner: tuple[str, str]) -> str:
    """Return how a packet shows that is one host's to another, with one of a pod to another pod in it."""
    return f"IP {outer[0]} > {outer[1]}: IP {inner[0]} > {inner[1]}: ICMP"


def every_pod_is_reached(racks: Racks, figures: Figures, mode: str) -> None:
    report = racks.lab.report
    assert report["pings"]["lost"] == 0, f"{report['pings']} after {report['seconds']}"
    assert report["sessions"]["established"] == report["sessions"]["expected"], report["sessions"]
    figures["seconds"] = report["seconds"]


def routes_are_as_the_mode_says(racks: Racks, figures: Figures, mode: str) -> None:
    racks.settle(mode)
    route = racks.lab.run("n1", "ip", "route", "show", "proto", "80", "dev", "tunl0").strip()
    assert "onlink" in route and "mtu 1480" in route and "metric 1030" in route, route
    figures["route"] = route.splitlines()[0]


def the_device_is_up_with_its_one_address(racks: Racks, figures: Figures, mode: str) -> None:
    for node in racks.address:
        [device] = json.loads(racks.lab.run(node, "ip", "-j", "address", "show", "tunl0"))
        inet = [(a["local"], a["prefixlen"]) for a in device["addr_info"] if a["family"] == "inet"]
        tunnel = racks.status(node)["tunnels"]["ipip"]
        assert "UP" in device["flags"] and device["mtu"] == 1480 == tunnel["mtu"], device
        assert inet == [(tunnel["address"], 32)], f"{inet} on tunl0 of {node}, and {tunnel}"
        assert racks.lab.run(node, "cat", "/var/lib/calico/mtu").strip() == "1480"
        assert json.loads(racks.lab.run(f"{node}-1", "ip", "-j", "link", "show", "eth0"))[0]["mtu"] == 1480


def both_sides_of_the_router_see_the_tunnel(racks: Racks, figures: Figures, mode: str) -> None:
    far = list(racks.address)[-1]
    lines = racks.captured("router", "eth0 eth1", lambda: racks.ping("n1", far))
    hosts, pods = (racks.address["n1"], racks.address[far]), (racks.pod["n1"], racks.pod[far])
    there, back = inside(hosts, pods), inside(hosts[::-1], pods[::-1])
    for device in ("eth0", "eth1"):
        seen = [line.removeprefix(f"{device} ") for line in lines if line.startswith(device)]
        assert seen.count(there) >= PINGS and seen.count(back) >= PINGS, f"on {device} of the router: {seen}"
        assert set(seen) == {there, back}, f"other packets of pods on {device} of the router: {seen}"
    figures["on both sides of the router"] = there


def neighbours_use_the_tunnel_only_if_the_mode_is_always(racks: Racks, figures: Figures, mode: str) -> None:
    lines = racks.captured("n1", "eth0", lambda: racks.ping("n1", "n2"))
    assert lines, "nothing was seen on eth0 of n1"
    assert all((": IP " in line) == (mode == "Always") for line in lines), f"with {mode}: {lines}"


def no_invariant_is_violated(racks: Racks, figures: Figures, mode: str) -> None:
    racks.wait(racks.lab.settled, "every agent is settled and no invariant violated")


def a_borrowed_address_is_reached_as_the_mode_says(racks: Racks, figures: Figures, mode: str) -> None:
    """Also by the node whose block it lies in, and over a restart of an agent; no other's record says where it is."""
    borrower, owner = list(racks.address)[-1], "n1"
    address = str(list(ip_network(racks.blocks[owner][0]).hosts())[-1])
    racks.lab.ask("pod add", node=borrower, pod="borrows", address=address)

    def wrong() -> list[str]:
        found = []
        for node in racks.address.keys() - {borrower}:
            [route] = json.loads(racks.lab.run(node, "ip", "-j", "route", "show", address)) or [{}]
            device = "tunl0" if racks.tunnelled(mode, node, borrower) else "eth0"
            if (route.get("dev"), route.get("protocol"), route.get("metric")) != (device, "81", 1030):
                found.append(f"{node} to {address} of {borrower}: {route}")
        return found

    racks.wait(lambda: not wrong(), f"routes to a borrowed address are as {mode} says")
    racks.lab.run("n1-1", "ping", "-c", str(PINGS), "-i", "0.3", "-W", "10", address)
    racks.lab.ask("kill", node=owner, what="agent")
    racks.wait(racks.lab.settled, "n1 has its agent again")
    assert not wrong(), f"after a restart of the agent of {owner}: {wrong()}"
    figures["borrowed"] = racks.lab.run(owner, "ip", "route", "show", address).strip()
    racks.lab.ask("pod del", pod="borrows")
    racks.wait(lambda: not racks.lab.run(owner, "ip", "route", "show", address), "the borrowed address is withdrawn")


def a_killed_agent_costs_nothing(racks: Racks, figures: Figures, mode: str) -> None:
    def kill() -> None:
        racks.lab.ask("kill", node="n1", what="agent")
        racks.wait(racks.lab.settled, "n1 has its agent again")

    sent, lost = racks.lost(kill)
    figures["agent killed"] = {"sent": sent, "lost": lost}
    assert lost == 0, f"{lost} of {sent} packets were lost while the agent of n1 was restarted"
    racks.settle(mode)


def a_live_switch_costs_nothing(racks: Racks, figures: Figures, before: str, after: str) -> None:
    def switch() -> None:
        racks.set_mode(after)
        racks.settle(after)

    sent, lost = racks.lost(switch)
    figures[f"{before} to {after}"] = {"sent": sent, "lost": lost}
    assert lost == 0, f"{lost} of {sent} packets were lost from {before} to {after}"


def add_routes_to_pods_on_the_router(racks: Racks) -> None:
    """Make the fabric route pods itself, so that the mode can be changed from and to Never."""
    racks.read_blocks()
    for node, blocks in racks.blocks.items():
        for block in blocks:
            racks.lab.run("router", "ip", "route", "replace", block, "via", racks.address[node])


def nothing_is_left_on_the_device(racks: Racks, figures: Figures, mode: str) -> None:
    def emptied() -> bool:
        shown = [json.loads(racks.lab.run(node, "ip", "-j", "address", "show", "tunl0"))[0] for node in racks.address]
        return all("UP" in device["flags"] and not device["addr_info"] for device in shown)

    racks.wait(emptied, "tunl0 is emptied and kept on every node")
    assert racks.lab.run("n1", "cat", "/var/lib/calico/mtu").strip() == "1500"


CLAIMS = (
    every_pod_is_reached,
    routes_are_as_the_mode_says,
    the_device_is_up_with_its_one_address,
    both_sides_of_the_router_see_the_tunnel,
)


def short(racks: Racks, check: Callable[..., None]) -> None:
    for claim in (*CLAIMS, a_borrowed_address_is_reached_as_the_mode_says, no_invariant_is_violated):
        check(claim, "CrossSubnet")


def full(racks: Racks, check: Callable[..., None]) -> None:
    for claim in (*CLAIMS, neighbours_use_the_tunnel_only_if_the_mode_is_always, a_killed_agent_costs_nothing):
        check(claim, "CrossSubnet")
    check(a_live_switch_costs_nothing, "CrossSubnet", "Always")
    check(a_borrowed_address_is_reached_as_the_mode_says, "Always")
    check(both_sides_of_the_router_see_the_tunnel, "Always")
    check(neighbours_use_the_tunnel_only_if_the_mode_is_always, "Always")
    add_routes_to_pods_on_the_router(racks)
    check(a_live_switch_costs_nothing, "Always", "Never")
    check(nothing_is_left_on_the_device, "Never")
    check(a_live_switch_costs_nothing, "Never", "Always")
    check(no_invariant_is_violated, "Always")


def main() -> int:
    brief = sys.argv[1:] == ["short"]
    racks = ("rack1", "rack2") if brief else ("rack1", "rack1", "rack2")
    began = time.monotonic()
    figures: Figures = {"kernel": os.uname().release}
    with tempfile.TemporaryDirectory() as folder, lab_of(spec(*racks, mode="CrossSubnet"), Path(folder)) as lab:
        world = Racks(lab)

        def check(claim: Callable[..., None], *modes: str) -> None:
            try:
                claim(world, figures, *modes)
            except AssertionError:
                show_state(world)
                raise
            print(
                f"{time.monotonic() - began:6.1f} s  {claim.__name__.replace('_', ' ')} ({' → '.join(modes)})",
                flush=True,
            )

        (short if brief else full)(world, check)
    figures["total_seconds"] = round(time.monotonic() - began, 1)
    Path("build").mkdir(exist_ok=True)
    Path("build", "ipip-short.json" if brief else "ipip.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))
    return 0


def show_state(racks: Racks) -> None:
    """Print what explains a failure: the lab ends with this process."""
    for node in racks.address:
        status = racks.status(node)
        print(f"---- {node}: ready {status.get('ready')}, tunnels {status.get('tunnels')}")
        print(
            [(peer["address"], peer["state"]) for peer in status.get("peers", ())], racks.lab.page(node, "invariants")
        )
        print(racks.lab.run(node, "tail", "-n", "30", "/var/log/agent.log"))
        print(racks.lab.run(node, "sh", "-c", "ip route; ip address show tunl0"), flush=True)


if __name__ == "__main__":
    sys.exit(main())
