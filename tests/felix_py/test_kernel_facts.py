"""What is read of a kernel, in namespaces.

node: eth0 192.0.2.1/24 ── far, cali1 ── eth0 10.65.1.1 :pod
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from felix_py.kernel_facts import NAMESPACES, kernel_facts
from felix_py.status_model import DeviceFacts, KernelFacts
from kernel.netns import inside
from net.prefix import pack
from tests.kernel.netns import Namespace, namespace

POD, OTHER = pack("10.65.1.1"), pack("10.65.2.1")


@pytest.fixture(scope="module")
def node() -> Iterator[Namespace]:
    with namespace("facts") as node, namespace("facts-pod") as pod:
        node.batch(
            "link set lo up\n"
            "link add eth0 type veth peer name far\n"
            "addr add 192.0.2.1/24 dev eth0\n"
            "link set eth0 up\n"
            "link set far up\n"
            f"link add cali1 type veth peer name eth0 netns {pod.name}\n"
            "link set cali1 up mtu 1440\n"
            "route add 10.65.1.1 dev cali1 proto 80 metric 1030\n"
            "route add 10.65.2.0/26 via 192.0.2.2 proto 81 metric 1030\n"
            "route add blackhole 10.65.3.0/26 proto 80 metric 1030\n"
            "route add prohibit 10.65.4.0/26\n"
        )
        pod.batch(
            "addr add 10.65.1.1/32 dev eth0\n"
            "link set eth0 up mtu 1440\n"
            "route add 169.254.1.1 dev eth0\n"
            "route add default via 169.254.1.1 dev eth0\n"
        )
        yield node


def facts(
    node: Namespace, to: str, pods: Mapping[bytes, str] = MappingProxyType({}), namespaces: Path = NAMESPACES
) -> KernelFacts:
    with inside(node.descriptor):
        return kernel_facts(pack(to), POD, pods, namespaces)


def device(found: KernelFacts, name: str) -> DeviceFacts:
    (one,) = (one for one in found.devices if one.name == name)
    return one


@pytest.mark.parametrize(
    ("to", "text"),
    [
        ("10.65.1.1", "10.65.1.1/32 dev cali1 proto 80 metric 1030 scope link"),
        ("10.65.2.1", "10.65.2.0/26 via 192.0.2.2 dev eth0 proto 81 metric 1030"),
        ("10.65.3.1", "blackhole 10.65.3.0/26 proto 80 metric 1030"),
        ("10.65.4.1", "prohibit 10.65.4.0/26 proto 3"),
    ],
)
def test_the_route_of_each_address_is_the_entry_that_carries_it(node: Namespace, to: str, text: str) -> None:
    assert str(facts(node, to).routes[to]) == text


def test_an_address_without_route_has_none(node: Namespace) -> None:
    assert facts(node, "198.51.100.1").routes["198.51.100.1"] is None


def test_devices_are_those_with_an_address_and_those_concerned(node: Namespace) -> None:
    found = facts(node, "10.65.2.1")
    assert {one.name for one in found.devices} == {"eth0", "cali1"}, "neither lo nor the far end of a cable"
    eth0, cali1 = device(found, "eth0"), device(found, "cali1")
    assert (eth0.up, eth0.carrier, eth0.addresses) == (True, True, ("192.0.2.1",))
    assert (cali1.mtu, cali1.kind) == (1440, "veth")


@pytest.mark.parametrize("value", ["0", "1"])
def test_forwarding_is_read_by_device_and_family(node: Namespace, value: str) -> None:
    node.run("sysctl", "-qw", f"net.ipv4.conf.eth0.forwarding={value}")
    assert device(facts(node, "10.65.2.1"), "eth0").forwarding["4"] is (value == "1")


def test_a_pod_is_read_in_its_own_namespace(node: Namespace) -> None:
    found = facts(node, "10.65.2.1", {POD: "cali1"})
    (pod,) = found.pods.values()
    assert (pod.device.name, pod.device.mtu, pod.device.addresses) == ("eth0", 1440, ("10.65.1.1",))
    assert pod.route and str(pod.route).startswith("0.0.0.0/0 via 169.254.1.1 dev eth0")


def test_a_pod_whose_namespace_has_no_name_is_left_out(node: Namespace, tmp_path: Path) -> None:
    assert facts(node, "10.65.2.1", {POD: "cali1"}, tmp_path).pods == {}


def test_a_file_that_is_no_namespace_is_passed_over(node: Namespace, tmp_path: Path) -> None:
    (tmp_path / "odd").write_text("")
    assert facts(node, "10.65.2.1", {POD: "cali1"}, tmp_path).pods == {}
