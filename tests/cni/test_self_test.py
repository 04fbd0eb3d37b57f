"""The agent knows whether it can make a pod's device, and which capability it lacks."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing

import pytest

from cni.self_test import NAME, why_no_device
from kernel.links import Devices
from kernel.netns import new_network_namespace
from tests.cni.node import on_a_node


@on_a_node
async def test_where_a_device_can_be_made_none_is_left_behind() -> None:
    with closing(Devices()) as devices:
        devices.create_veth(NAME, new_network_namespace(), "eth0", b"\x02" * 6)  # of a run that was killed
        before = devices.links().keys()
        assert why_no_device() is None
        assert devices.links().keys() < before


@pytest.mark.parametrize("capability", ["NET_ADMIN", "SYS_ADMIN"])
def test_the_capability_that_is_lacking_is_named(capability: str) -> None:
    ran = subprocess.run(
        ["capsh", f"--drop=cap_{capability.lower()}", "--", "-c", 'exec "$0" -c "$1"', sys.executable,
         "from cni.self_test import why_no_device; print(why_no_device())"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"the agent lacks CAP_{capability}" in ran.stdout


def test_sysctls_that_cannot_be_written_are_named_before_the_first_pod() -> None:
    script = 'mount -o bind,ro /proc/sys /proc/sys && exec "$0" -c "$1"'
    ran = subprocess.run(
        ["unshare", "--mount", "--net", "sh", "-ec", script, sys.executable,
         "from cni.self_test import why_no_device; print(why_no_device())"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"net/ipv4/conf/{NAME}/proxy_arp" in ran.stdout
    assert "/proc/sys is mounted read-only" in ran.stdout
