"""Resources that tests write."""

from __future__ import annotations

from tests.felixctl.command import Felixctl

POOL = """
apiVersion: projectcalico.org/v3
kind: IPPool
metadata:
  name: {name}
spec:
  cidr: {cidr}
"""


PEER = """
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata:
  name: tor-1
spec:
  peerIP: 192.0.2.200
  asNumber: 65001
"""


def pool(name: str, cidr: str, more: str = "") -> str:
    return POOL.format(name=name, cidr=cidr) + more


def pools(felixctl: Felixctl) -> list[str]:
    return felixctl("get", "ippools", "-o", "name").out.split()
