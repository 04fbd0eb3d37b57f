"""`felixctl ipam release`, on a datastore."""

from __future__ import annotations

from tests.felixctl.command import Felixctl


def test_an_address_in_use_is_not_released(calicos: Felixctl) -> None:
    ended = calicos("ipam", "release", "--ip", "10.65.77.7", "--ip", "10.65.77.8")
    assert (ended.status, ended.out) == (1, "")
    assert "Workload(default/node--3-k8s-db--1-eth0) uses it" in ended.err
    assert "in use" in calicos("ipam", "show", "--ip", "10.65.77.7").out


def test_a_leaked_address_is_released(calicos: Felixctl) -> None:
    calicos("delete", "wep", "node--3-k8s-db--1-eth0")
    ended = calicos("ipam", "release", "--ip", "10.65.77.7", "--ip", "10.65.77.8")
    assert ended.out == "Successfully released IP address 10.65.77.7\n10.65.77.8 is not assigned\n"
    assert calicos("ipam", "check").status == 0
