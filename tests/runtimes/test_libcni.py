from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

import datastore
from cni.veth import RETIRED_GROUP
from datastore.kinds.ipam import IPAMBlock
from tests.runtimes.client import OURS, Libcni, address
from tests.runtimes.go_tools import libcni
from tests.runtimes.machine import Machine, eventually
from tests.runtimes.troubles import agent_stopped, apply, call_plugin, datastore_locked, notes

FELIX = {"type": "felix", "ipam": {"type": "felix-ipam"}}
BRIDGE = {
    "type": "bridge",
    "bridge": "br-test",
    "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.99.0.0/24"}]]},
}
TRY_AGAIN, NOT_SERVING, NO_ADDRESS = 11, 50, 101
BAD_ENVIRONMENT, UNREADABLE, INVALID_CONFIGURATION = 4, 6, 7


@pytest.fixture
def node(nodes: list[Machine]) -> Machine:
    return nodes[0]


@pytest.fixture
def runtime(node: Machine) -> Iterator[Libcni]:
    made = Libcni(node, libcni()[0])
    yield made
    made.end()


def allocated(machine: Machine) -> Mapping[str, Sequence[int | None]]:
    """Return what each block has given away, which `felixctl ipam show` would take half a second to say."""

    async def read() -> Mapping[str, Sequence[int | None]]:
        store = datastore.open(f"sqlite:///{machine.shared}/cluster.db")
        try:
            return {block.name: block.spec.allocations for block in (await store.list(IPAMBlock)).objects}
        finally:
            await store.close()

    return asyncio.run(read())


def devices_put_aside(machine: Machine) -> str:
    """Return the devices that DELs have put aside; they are deleted soon after a DEL was answered."""
    return machine.run("ip", "-brief", "link", "show", "group", str(RETIRED_GROUP))


def test_an_attachment_carries_traffic_and_its_result_names_the_gateway(runtime: Libcni) -> None:
    """The reference sbr takes the pod's routes away unless the result has a gateway."""
    result = runtime.add(runtime.container())
    assert result["ips"][0]["gateway"] == "169.254.1.1"
    assert runtime.answers(address(result))


def test_a_second_network_in_a_container_comes_and_goes_without_the_first(runtime: Libcni) -> None:
    first = runtime.container()
    second = replace(first, device="net1", file=runtime.network("storage", FELIX))
    addresses = [address(runtime.add(each)) for each in (first, second)]
    assert len({*addresses}) == 2
    runtime.check(first)
    runtime.delete(second)
    runtime.check(first)
    assert runtime.answers(addresses[0])
    assert not runtime.answers(addresses[1])


def test_a_del_of_a_network_that_the_container_never_had_changes_nothing(runtime: Libcni) -> None:
    first = runtime.container()
    result = runtime.add(first)
    for other in (replace(first, file=runtime.network("storage", FELIX)), replace(first, device="net1")):
        runtime.delete(other)
    runtime.check(first)
    assert runtime.answers(address(result))


def test_the_same_container_in_a_new_namespace_keeps_its_address(runtime: Libcni) -> None:
    container = runtime.container()
    before = runtime.add(container)
    runtime.machine.sh(f"ip netns delete {container.namespace}; ip netns add {container.namespace}")
    after = runtime.add(container)
    assert address(after) == address(before)
    assert runtime.answers(address(after))


def test_a_del_frees_the_devices_name_for_the_next_plugin(runtime: Libcni) -> None:
    bridged = runtime.network("bridged", BRIDGE)
    container = runtime.container()
    for _ in range(5):
        runtime.add(container)
        runtime.delete(container)
        next_one = replace(container, file=bridged)
        runtime.add(next_one)
        runtime.delete(next_one)


def test_a_chain_of_reference_plugins_works_on_our_device(runtime: Libcni) -> None:
    chain = runtime.network(
        "chain",
        {**FELIX, "mtu": 1400},
        {"type": "tuning", "sysctl": {"net.ipv4.conf.eth0.log_martians": "1"}, "mtu": 1300},
        {"type": "bandwidth", "capabilities": {"bandwidth": True}},
        {"type": "sbr"},
    )
    limits = dict.fromkeys(("ingressRate", "ingressBurst", "egressRate", "egressBurst"), 8 * 1024 * 1024)
    container = runtime.container(file=chain, capabilities={"bandwidth": limits})
    result = runtime.add(container)
    assert "mtu 1300" in runtime.inside(container, "ip link show eth0")
    assert runtime.inside(container, "cat /proc/sys/net/ipv4/conf/eth0/log_martians").strip() == "1"
    assert address(result) in runtime.inside(container, "ip rule show")
    assert "tbf" in runtime.machine.run("tc", "qdisc", "show", "dev", host_device(result))
    assert runtime.answers(address(result))
    runtime.delete(container)
    assert address(result) not in runtime.machine.run("ip", "route")


def test_a_port_of_the_host_leads_to_a_container_behind_portmap(runtime: Libcni, nodes: list[Machine]) -> None:
    chain = runtime.network("ports", FELIX, {"type": "portmap", "snat": True, "capabilities": {"portMappings": True}})
    mapping = {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}
    container = runtime.container(file=chain, capabilities={"portMappings": [mapping]})
    added = runtime.call("ADD", **container.request)  # portmap 1.1.1 refuses CHECK of a pod without an IPv6 address
    assert added.code == 0, added.message
    server = ("ip", "netns", "exec", container.namespace, "busybox", "httpd", "-f", "-p", "80", "-h", "/etc/cni")
    with runtime.machine.running(*server):
        eventually("the host's port leads to the container", lambda: "404" in fetch(nodes[1], "192.0.2.1", 8080))
    runtime.delete(container)
    assert "8080" not in runtime.machine.run("iptables-save")


def host_device(result: dict[str, Any]) -> str:
    return str(next(each["name"] for each in result["interfaces"] if not each.get("sandbox")))


def fetch(machine: Machine, host: str, port: int) -> str:
    request = "GET /none HTTP/1.0\r\n\r\n"
    return machine.try_run("busybox", "nc", "-w", "3", host, str(port), feed=request).stdout


def test_gc_without_any_valid_attachment_removes_all_of_this_network_only(runtime: Libcni) -> None:
    """A Go runtime sends its empty slice as null."""
    lost, other = runtime.container(), runtime.container(file=runtime.network("storage", FELIX))
    gone, stays = address(runtime.add(lost)), address(runtime.add(other))
    runtime.machine.run("rm", "-rf", "/var/lib/cni/libcni")  # else libcni itself sends the DELs
    runtime.collect()
    assert not runtime.answers(gone)
    assert runtime.answers(stays)
    runtime.delete(other)


def test_gc_keeps_what_is_valid(runtime: Libcni) -> None:
    kept, lost = runtime.container(), runtime.container()
    stays, gone = address(runtime.add(kept)), address(runtime.add(lost))
    runtime.machine.run("rm", "-rf", "/var/lib/cni/libcni")
    runtime.collect(kept)
    assert runtime.answers(stays)
    assert not runtime.answers(gone)


def test_gc_that_says_nothing_of_attachments_removes_nothing(runtime: Libcni) -> None:
    result = runtime.add(runtime.container())
    assert call_plugin(runtime.machine, "GC", b'{"cniVersion":"1.1.0","name":"k8s-pod-network","type":"felix"}')[0] == 0
    assert runtime.answers(address(result))


@pytest.mark.parametrize("broken", [{"mtu": "large"}, {"ipam": {"type": "dhcp"}}, {"ipam": None}, {"mtu": -1}])
def test_a_mistake_made_in_the_configuration_since_does_not_hold_up_del_and_gc(
    runtime: Libcni, broken: dict[str, object]
) -> None:
    file = runtime.network("edited", FELIX, version="1.1.0")
    first, second = runtime.container(file=file), runtime.container(file=file)
    gone = [address(runtime.add(each)) for each in (first, second)]
    runtime.network("edited", {**FELIX, **broken}, version="1.1.0")
    runtime.delete(first)
    runtime.collect(file=file)
    assert not any(runtime.answers(each) for each in gone)


def test_a_del_while_the_agent_is_away_is_noted_and_carried_out_when_it_starts(runtime: Libcni) -> None:
    gone, stays = runtime.container(), runtime.container()
    addresses = [address(runtime.add(each)) for each in (gone, stays)]
    with agent_stopped(runtime.machine):
        assert runtime.call("STATUS", file=OURS).code == NOT_SERVING
        assert runtime.call("ADD", **runtime.container().request).code == TRY_AGAIN
        runtime.delete(gone)
        assert len(notes(runtime.machine)) == 1
        assert runtime.answers(addresses[1])
    eventually("the note is carried out", lambda: not notes(runtime.machine))
    assert not runtime.answers(addresses[0])
    assert runtime.answers(addresses[1])
    runtime.check(stays)


def test_a_locked_datastore_refuses_pods_and_leaves_status_good(runtime: Libcni) -> None:
    """A bad status makes the node NotReady, and the cluster evicts the pods that run."""
    kept = runtime.container()
    pod = address(runtime.add(kept))
    with datastore_locked(runtime.machine):
        assert runtime.call("STATUS", file=OURS).code == 0
        assert runtime.call("ADD", **runtime.container().request).code == TRY_AGAIN
        assert runtime.answers(pod)


def test_a_cluster_without_an_enabled_pool_refuses_pods_and_leaves_status_good(runtime: Libcni) -> None:
    change_pools(runtime.machine, disabled=True)
    try:
        assert runtime.call("ADD", **runtime.container().request).code == INVALID_CONFIGURATION
        assert runtime.call("STATUS", file=OURS).code == 0
    finally:
        change_pools(runtime.machine, disabled=False)
    runtime.add(runtime.container())


def change_pools(machine: Machine, *, disabled: bool) -> None:
    patch = json.dumps({"spec": {"disabled": disabled}})
    machine.run("felixctl", "patch", "ippool", "default-ipv4-ippool", "--patch", patch)


def test_a_full_pool_refuses_pods_and_leaves_status_good(runtime: Libcni) -> None:
    apply(runtime.machine, "IPPool", "tiny", cidr="10.66.0.0/30", blockSize=30, nodeSelector="!all()")
    tiny = {"type": "felix", "ipam": {"type": "felix-ipam", "ipv4_pools": ["tiny"]}}
    file = runtime.network("tiny", tiny, version="1.1.0")
    for _ in range(4):
        runtime.add(runtime.container(file=file))
    assert runtime.call("ADD", **runtime.container(file=file).request).code == NO_ADDRESS
    assert runtime.call("STATUS", file=file).code == 0
    runtime.collect(file=file)
    runtime.machine.run("felixctl", "delete", "ippool", "tiny")


def test_a_sidecar_that_is_away_leaves_status_good_and_pods_are_attached(runtime: Libcni) -> None:
    runtime.machine.run("systemctl", "stop", "felix-sidecar")
    try:
        assert runtime.call("STATUS", file=OURS).code == 0
        assert runtime.answers(address(runtime.add(runtime.container())))
    finally:
        runtime.machine.run("systemctl", "start", "felix-sidecar")


LONGEST_POD_NAME = ".".join(["a-" * 31 + "a"] * 4)[:253]


@pytest.mark.parametrize("name", [LONGEST_POD_NAME, "a--b", "0", "web.v1-2"])
def test_names_that_callers_really_use_are_attached(runtime: Libcni, name: str) -> None:
    result = runtime.add(replace(runtime.container(device="net1.100-x"), pod=name))
    assert runtime.answers(address(result))


NETWORK = b'{"cniVersion":"1.0.0","name":"k8s-pod-network","type":"felix"%s}'


@pytest.mark.parametrize(
    ("more", "environment", "code"),
    [
        (b',"x":' + b"[" * 200_000 + b"]" * 200_000, {}, UNREADABLE),
        (b',"x":"\xff"', {}, UNREADABLE),
        (b',"mtu":"large"', {}, INVALID_CONFIGURATION),
        (b',"prevResult":{"interfaces":true}', {}, INVALID_CONFIGURATION),
        (b',"runtimeConfig":{"ips":1}', {}, INVALID_CONFIGURATION),
        (b"", {"CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAME=\udcff"}, BAD_ENVIRONMENT),
        (b"", {"CNI_CONTAINERID": "../odd"}, BAD_ENVIRONMENT),
        (b"", {"CNI_IFNAME": "a/b"}, BAD_ENVIRONMENT),
    ],
)
def test_odd_input_is_refused_with_its_code_and_leaves_nothing(
    runtime: Libcni, more: bytes, environment: dict[str, str], code: int
) -> None:
    container = runtime.container()
    eventually("devices of earlier pods are deleted", lambda: not devices_put_aside(runtime.machine))
    before = runtime.machine.run("ip", "-brief", "link"), allocated(runtime.machine)
    named = {"CNI_NETNS": f"/run/netns/{container.namespace}"} | environment
    status, told = call_plugin(runtime.machine, "ADD", NETWORK % more, **named)
    assert (status, told["code"]) == (1, code), told
    assert (runtime.machine.run("ip", "-brief", "link"), allocated(runtime.machine)) == before
    assert "Traceback" not in runtime.machine.log("felix-agent")
