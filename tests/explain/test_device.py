"""Devices that do not work, and nodes that do not forward."""

from __future__ import annotations

from explain.device import device_faults, forwarding
from explain.step import StepState
from felix_py.status_model import DeviceFacts
from tests.explain.cluster import TwoNodes

LEG = TwoNodes().leg()


def test_a_device_that_works_has_no_faults() -> None:
    assert list(device_faults(LEG, "n2", "eth0", DeviceFacts("eth0"))) == []


def test_a_device_that_does_not_exist_is_named() -> None:
    (step,) = device_faults(LEG, "n2", "cali2", None)
    assert step.text == "there is no device cali2"
    (step,) = device_faults(LEG, "n2", "", None)
    assert step.text == "the endpoint names no device"


def test_a_device_that_is_down_is_repaired_by_setting_it_up() -> None:
    (step,) = device_faults(LEG, "n2", "eth0", DeviceFacts("eth0", up=False, carrier=False))
    assert (step.about, step.text) == ("device", "device eth0 is down")
    assert step.repair and (step.repair.place, step.repair.line) == ("n2", "ip link set eth0 up")


def test_a_link_without_carrier_has_no_command_that_repairs_it() -> None:
    (step,) = device_faults(LEG, "n2", "eth0", DeviceFacts("eth0", carrier=False))
    assert (step.about, step.repair) == ("link", None)
    assert "no carrier" in step.text


def test_a_node_that_does_not_forward_names_the_switch_and_the_command_that_turns_it_on() -> None:
    step = forwarding(LEG, TwoNodes().n2, DeviceFacts("eth0", forwarding={"4": False, "6": True}))
    assert step.state is StepState.BROKEN
    assert step.repair and step.repair.line == "sysctl -w net.ipv4.ip_forward=1"
    assert "it drops whatever is not for itself" in step.effect


def test_a_device_that_alone_does_not_forward_is_named_by_its_own_switch() -> None:
    off = DeviceFacts("eth0.100", forwarding={"4": False}, own_switch=("4",))
    step = forwarding(LEG, TwoNodes().n2, off)
    assert "net.ipv4.conf.eth0/100.forwarding is off for packets that come in by eth0.100" in step.text
    assert step.inspect and step.inspect.line == "sysctl net.ipv4.ip_forward net.ipv4.conf.eth0/100.forwarding"
    assert step.repair and step.repair.line == "sysctl -w net.ipv4.conf.eth0/100.forwarding=1"


def test_forwarding_that_was_not_read_is_no_fault() -> None:
    assert forwarding(LEG, TwoNodes().n2, DeviceFacts("eth0")).state is StepState.OK
