"""Sysctls of a namespace, with `cat` as the witness."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kernel.netlink import KernelError
from kernel.netns import inside
from kernel.sysctl import read_sysctls, write_sysctls
from tests.kernel.netns import Namespace

PROXY_ARP = "net/ipv4/conf/eth0/proxy_arp"


def test_a_sysctl_is_written_in_the_namespace_this_thread_is_in(node: Namespace, pod: Namespace) -> None:
    with inside(node.descriptor):
        write_sysctls({PROXY_ARP: "1"})
        write_sysctls({PROXY_ARP: "1"})
        assert read_sysctls([PROXY_ARP]) == {PROXY_ARP: "1"}
    assert node.run("cat", f"/proc/sys/{PROXY_ARP}").strip() == "1"
    with inside(pod.descriptor):
        assert read_sysctls([PROXY_ARP]) == {}  # the pod has no eth0


def test_a_sysctl_that_does_not_exist_is_an_error_unless_it_is_optional(pod: Namespace) -> None:
    with inside(pod.descriptor):
        with pytest.raises(KernelError, match=r"^set sysctl net/ipv4/conf/eth0/proxy_arp to 1: .*ENOENT"):
            write_sysctls({PROXY_ARP: "1"})
        write_sysctls({PROXY_ARP: "1", "net/ipv4/ip_forward": "1"}, optional=["proxy_arp"])
        assert read_sysctls(["net/ipv4/ip_forward"]) == {"net/ipv4/ip_forward": "1"}


def read_only(code: str, mounts: str = "true") -> str:
    """Run Python in a mount namespace whose /proc/sys is read-only; return what it prints. mounts: made before."""
    script = f'{mounts} && mount -o bind,ro /proc/sys /proc/sys && exec "$0" -c "$1"'
    command = [
        "unshare",
        "--mount",
        "sh",
        "-ec",
        script,
        sys.executable,
        f"from kernel.netns import *; from kernel.sysctl import *; {code}",
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_what_is_right_already_needs_no_write_and_what_is_not_is_named_with_the_mount() -> None:
    [(path, value)] = read_sysctls(["net/ipv4/ip_default_ttl"]).items()
    assert read_only(f"write_sysctls({{'{path}': '{value}'}}); print('well')") == "well\n"
    refused = read_only(
        f"""
try: write_sysctls({{'{path}': '77'}})
except KernelError as error: print(error)
"""
    )
    assert f"set sysctl {path} to 77" in refused
    assert "/proc/sys is mounted read-only" in refused


def test_where_it_is_read_only_another_mount_of_it_serves_every_namespace(tmp_path: Path) -> None:
    """As a container has it: /proc/sys/net of the host at another place."""
    place = tmp_path / "net"
    place.mkdir()
    printed = read_only(
        f"""
with inside(new_network_namespace()):
    write_sysctls({{"net/ipv4/ip_forward": "1"}}, root=Path({str(tmp_path)!r}))
    print(read_sysctls(["net/ipv4/ip_forward"]))
    write_sysctls({{"net/ipv4/ip_forward": "0"}}, root=Path({str(tmp_path)!r}))
    print(read_sysctls(["net/ipv4/ip_forward"]))
""",
        f"mount --bind /proc/sys/net {place}",
    )
    assert printed.splitlines() == ["{'net/ipv4/ip_forward': '1'}", "{'net/ipv4/ip_forward': '0'}"]
