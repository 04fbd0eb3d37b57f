"""Prints what passes on some devices: a line for each IPv4 packet that is an ICMP message or carries another packet.

`python -I -S capture.py DEVICE...`, until it is killed. tcpdump cannot be used: it changes to another user, and the
user namespace of a lab has only one.
"""

from __future__ import annotations

import select
import socket
import sys

EVERY_PROTOCOL = 3
ICMP, IPIP = 1, 4


def line(packet: bytes) -> str:
    """Return the packet's headers from the outside in: `IP 192.0.2.1 > 192.0.2.2: IP 10.65.1.1 > 10.65.2.1: ICMP`."""
    there, back = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    rest = packet[4 * (packet[0] & 0xF) :]
    return f"IP {there} > {back}: {line(rest) if packet[9] == IPIP else 'ICMP'}"


def main() -> None:
    sockets = {}
    for device in sys.argv[1:]:
        listener = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(EVERY_PROTOCOL))
        listener.bind((device, EVERY_PROTOCOL))
        sockets[listener] = device
    print("listening", flush=True)
    while True:
        for ready in select.select(list(sockets), [], [])[0]:
            packet, (_, protocol, *_) = ready.recvfrom(65536)
            if protocol == 0x0800 and packet[9] in (ICMP, IPIP):
                print(sockets[ready], line(packet), flush=True)


if __name__ == "__main__":
    main()
