"""Texts of settings as values."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Address, ip_address, ip_interface, ip_network
from pathlib import Path

import pytest

from datastore import fields
from felix_py.configuration import setting_types as types
from felix_py.host.autodetect import Method


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (types.object_name, "n1.example", "n1.example"),
        (types.device_prefix, "eni", "eni"),
        (types.host, "fd00::1", "fd00::1"),
        (types.absolute_path, "/run/felix", Path("/run/felix")),
        (types.file_mode, "0660", 0o660),
        (types.file_mode, "600", 0o600),
        (types.store_url, "sqlite:///a.db", "sqlite:///a.db"),
        (Method.parse, "interface=eth.*", Method.parse("interface=eth.*")),
        (fields.as_number, "1.10", 65546),
        (types.router_id, "192.0.2.1", IPv4Address("192.0.2.1")),
        (types.router_id, "Hash", "hash"),
        (types.pool_network, "10.65.0.0/16", ip_network("10.65.0.0/16")),
        (types.pool_network, "None", "none"),
        (types.selector_text, "has(rack)", "has(rack)"),
        (types.ipv4_node_address, "192.0.2.1", ip_address("192.0.2.1")),
        (types.ipv4_node_address, "192.0.2.1/24", ip_interface("192.0.2.1/24")),
        (types.ipv4_node_address, "Autodetect", types.AddressChoice.DETECT),
        (types.ipv6_node_address, "fd00::1/64", ip_interface("fd00::1/64")),
        (types.ipv6_node_address, "none", types.AddressChoice.NONE),
        (types.encapsulation, "off", "Never"),
        (types.nat_address, "192.0.2.1", IPv4Address("192.0.2.1")),
        (types.nat_address, "None", None),
        (types.port_range, "1024:65535", (1024, 65535)),
        (types.port_range, "80", (80, 80)),
        (types.port_range, "0:0", None),
        (types.nat_exclusions, "IPPoolsAndHostIPs", types.NatExclusions.POOLS_AND_HOSTS),
        (types.nat_device, "eth+", "eth+"),
        (types.networks, "10.0.0.0/8, 192.0.2.1", (ip_network("10.0.0.0/8"), ip_network("192.0.2.1/32"))),
        (types.networks, "none", ()),
        (types.nat_device, "none", ""),
        (types.log_level, "debug", "DEBUG"),
        (types.pod_mtu, "68", 68),
        (partial(types.number, -5, 2000), "-5", -5),
        (partial(types.number, 0, 2000), "+1_000.0", 1000),
        (partial(types.seconds, 9), "1.5", 1.5),
        (partial(types.seconds, 9), "0", 0.0),
        (types.switch, "True", True),
        (types.switch, "off", False),
    ],
)
def test_a_text_becomes_its_value(parse: Callable[[str], object], text: str, value: object) -> None:
    found = parse(text)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (types.object_name, "Node-A"),
        (types.object_name, "a" * 254),
        (types.device_prefix, "a/b"),
        (types.device_prefix, "a b"),
        (types.device_prefix, "cali,"),
        (types.device_prefix, "calix"),
        (types.device_prefix, "ca\n"),
        (types.host, "a b"),
        (types.absolute_path, "run/felix"),
        (types.socket_folder, "/" + "a" * types.LONGEST_FOLDER_BYTES),
        (types.socket_folder, "/" + "ä" * 50),
        (types.file_mode, "rw"),
        (types.file_mode, "0o666"),
        (types.file_mode, "1777"),
        (types.store_url, "etcd://10.0.0.1"),
        (Method.parse, "fastest"),
        (fields.as_number, "0"),
        (fields.as_number, "9" * 5000),
        (types.router_id, "foo"),
        (types.router_id, "0.0.0.0"),
        (types.router_id, "fd00::1"),
        (types.pool_network, "10.65.0.1/16"),
        (types.selector_text, "has("),
        (types.ipv4_node_address, "fd00::1"),
        (types.ipv4_node_address, "0.0.0.0"),
        (types.ipv4_node_address, "224.0.0.1/24"),
        (types.ipv6_node_address, "fe80::1%eth0"),
        (types.encapsulation, "sometimes"),
        (types.nat_address, "fd00::1"),
        (types.nat_address, "0.0.0.0"),
        (types.port_range, "2000:1000"),
        (types.port_range, "1:2:3"),
        (types.port_range, "0:80"),
        (types.port_range, "80:65536"),
        (types.nat_exclusions, "None at all"),
        (types.nat_device, "e+th"),
        (types.networks, "10.0.0.1/8"),
        (types.networks, "10.0.0.0/8,"),
        (types.nat_device, "a" * 16),
        (types.log_level, "loud"),
        (types.pod_mtu, "67"),
        (partial(types.number, 0, 9), "10"),
        (partial(types.number, 0, 9), "1.5"),
        (partial(types.number, 0, 9), "_1"),
        (partial(types.number, 0, 9), "0x1"),
        (partial(types.number, 0, 9), "\N{ARABIC-INDIC DIGIT THREE}"),
        (partial(types.number, 0, 9), "1" * 5000),
        (partial(types.seconds, 9), "9.1"),
        (partial(types.seconds, 9), "nan"),
        (partial(types.seconds, 9), "soon"),
        (partial(types.seconds, 9), "\N{ARABIC-INDIC DIGIT THREE}"),
        (types.switch, "perhaps"),
    ],
)
def test_a_text_that_is_no_value_is_refused(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


@pytest.mark.parametrize(
    ("written", "level"),
    [("trace", "DEBUG"), ("Info", "INFO"), ("Warning", "WARNING"), ("fatal", "CRITICAL"), ("none", "NONE")],
)
def test_calicos_log_levels_are_known(written: str, level: str) -> None:
    assert types.log_level(written) == level
