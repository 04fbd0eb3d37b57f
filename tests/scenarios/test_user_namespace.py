"""All of kernel/ in a user namespace, where an ordinary user's lab runs: buffers there cannot be forced larger.

unshare --user --map-root-user --net
  └ the script: an Rtnetlink, and a pod's namespace known by descriptor only
"""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import asyncio, socket, subprocess
from contextlib import closing
from kernel.links import Devices
from kernel.netns import inside, new_network_namespace
from kernel.sysctl import write_sysctls
from net.prefix import Prefix
from kernel.route import NextHop, RouteSpec
from kernel.events import EventsLost, RouteChanged
from kernel.rtnetlink import Rtnetlink

async def main():
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as plain:
        try:
            plain.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
        except PermissionError:
            print("not forced")

    kernel, host, pod = Rtnetlink(receive_buffer=106496), Devices(), new_network_namespace()
    veth = host.create_veth("calipod", pod, "eth0", b"\\xee" * 6)
    write_sysctls({"net/ipv4/conf/calipod/proxy_arp": "1"})
    with inside(pod), closing(Devices()) as devices:
        eth0 = devices.link("eth0")
        devices.configure_interface(eth0, addresses=[Prefix.parse("10.65.1.7"), Prefix.parse("fd00:65::7")])
    route = (Prefix.parse("10.65.1.7"), RouteSpec(80, 1030, hops=(NextHop(veth.index),), scope=253))
    assert await kernel.apply([route]) == []
    print("attached")

    lines = "".join(f"route add blackhole 10.9.{n // 250}.{n % 250}\\n" for n in range(1000))
    subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True)
    async with asyncio.timeout(20):
        async for batch in kernel.events():
            if EventsLost() in batch:
                break
    assert len(await kernel.dump([3])) == 1000 and await kernel.dump([80]) == [route]
    print("recovered")

asyncio.run(main())
"""


def test_a_user_namespace_is_enough_for_all_of_it() -> None:
    outcome = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (outcome.stdout.split("\n"), outcome.stderr) == (["not forced", "attached", "recovered", ""], "")
