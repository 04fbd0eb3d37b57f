"""Texts of settings as values."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from felix_py.configuration import setting_types as types
from felix_py.host.autodetect import Method


def parsed(kind: Any, text: object) -> Any:
    return TypeAdapter(kind).validate_python(text)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (types.NodeName, "n1.example", "n1.example"),
        (types.DevicePrefix, "eni", "eni"),
        (types.Host, "fd00::1", "fd00::1"),
        (types.AbsolutePath, "/run/felix", Path("/run/felix")),
        (types.FileMode, "0660", 0o660),
        (types.FileMode, "600", 0o600),
        (types.StoreUrl, "sqlite:///a.db", "sqlite:///a.db"),
        (types.Detection, "interface=eth.*", Method.parse("interface=eth.*")),
        (types.AsNumber, "1.10", 65546),
        (types.RouterId, "192.0.2.1", IPv4Address("192.0.2.1")),
        (types.RouterId, "Hash", "hash"),
        (types.PoolNetwork, "10.65.0.0/16", ip_network("10.65.0.0/16")),
        (types.PoolNetwork, "None", "none"),
        (types.SelectorText, "has(rack)", "has(rack)"),
        (types.IPv4NodeAddress, "192.0.2.1", ip_address("192.0.2.1")),
        (types.IPv4NodeAddress, "192.0.2.1/24", ip_interface("192.0.2.1/24")),
        (types.IPv4NodeAddress, "Autodetect", types.AddressChoice.DETECT),
        (types.IPv6NodeAddress, "fd00::1/64", ip_interface("fd00::1/64")),
        (types.IPv6NodeAddress, "none", types.AddressChoice.NONE),
        (types.Encapsulation, "off", "Never"),
        (types.NatAddress, "192.0.2.1", IPv4Address("192.0.2.1")),
        (types.NatAddress, "None", None),
        (types.PortRange, "1024:65535", (1024, 65535)),
        (types.PortRange, "80", (80, 80)),
        (types.PortRange, "0:0", None),
        (types.NatExclusion, "IPPoolsAndHostIPs", types.NatExclusions.POOLS_AND_HOSTS),
        (types.NatDevice, "eth+", "eth+"),
        (types.Networks, "10.0.0.0/8, 192.0.2.1", (ip_network("10.0.0.0/8"), ip_network("192.0.2.1/32"))),
        (types.Networks, "none", ()),
        (types.NatDevice, "none", ""),
        (types.LogLevel, "debug", "DEBUG"),
    ],
)
def test_a_text_becomes_its_value_and_a_value_stays(kind: Any, text: str, value: object) -> None:
    found = parsed(kind, text)
    assert (type(found), found) == (type(value), value)
    assert parsed(kind, found) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (types.NodeName, "Node-A"),
        (types.NodeName, "a" * 254),
        (types.DevicePrefix, "a/b"),
        (types.DevicePrefix, "a b"),
        (types.DevicePrefix, "cali,"),
        (types.DevicePrefix, "calix"),
        (types.DevicePrefix, "ca\n"),
        (types.Host, "a b"),
        (types.AbsolutePath, "run/felix"),
        (types.SocketFolder, "/" + "a" * types.LONGEST_FOLDER_BYTES),
        (types.SocketFolder, "/" + "ä" * 50),
        (types.FileMode, "rw"),
        (types.FileMode, "0o666"),
        (types.FileMode, "1777"),
        (types.StoreUrl, "etcd://10.0.0.1"),
        (types.Detection, "fastest"),
        (types.AsNumber, "0"),
        (types.AsNumber, "9" * 5000),
        (types.RouterId, "foo"),
        (types.RouterId, "0.0.0.0"),
        (types.RouterId, "fd00::1"),
        (types.PoolNetwork, "10.65.0.1/16"),
        (types.SelectorText, "has("),
        (types.IPv4NodeAddress, "fd00::1"),
        (types.IPv4NodeAddress, "0.0.0.0"),
        (types.IPv4NodeAddress, "224.0.0.1/24"),
        (types.IPv6NodeAddress, "fe80::1%eth0"),
        (types.Encapsulation, "sometimes"),
        (types.NatAddress, "fd00::1"),
        (types.NatAddress, "0.0.0.0"),
        (types.PortRange, "2000:1000"),
        (types.PortRange, "1:2:3"),
        (types.PortRange, "0:80"),
        (types.PortRange, "80:65536"),
        (types.NatExclusion, "None at all"),
        (types.NatDevice, "e+th"),
        (types.Networks, "10.0.0.1/8"),
        (types.Networks, "10.0.0.0/8,"),
        (types.NatDevice, "a" * 16),
        (types.LogLevel, "loud"),
    ],
)
def test_a_text_that_is_no_value_is_refused(kind: Any, text: str) -> None:
    with pytest.raises(ValidationError):
        parsed(kind, text)


@pytest.mark.parametrize(
    ("written", "level"),
    [("trace", "DEBUG"), ("Info", "INFO"), ("Warning", "WARNING"), ("fatal", "CRITICAL"), ("none", "NONE")],
)
def test_calicos_log_levels_are_known(written: str, level: str) -> None:
    assert parsed(types.LogLevel, written) == level
