"""The host name, of which ExaBGP asks a resolver at its start, and the kernel for each line that it writes."""

from __future__ import annotations

import socket

from bgp.exabgp_launcher.replacement import ReplacedValue, Replacement


def replacements() -> list[Replacement]:
    from exabgp.reactor.api.response import json as response_json

    return [ReplacedValue(response_json, "socket", socket, FixedHostName(socket.gethostname()))]


def set_host_name() -> None:
    """Fill ExaBGP's host and domain name, which it would ask DNS for: up to 10 s at each start while DNS is down."""
    from exabgp.util import dns

    host, _, domain = socket.gethostname().partition(".")
    for constant, value in (("__host_name", host), ("__domain_name", domain)):
        if hasattr(dns, constant):
            setattr(dns, constant, value or "localhost")


class FixedHostName:
    """Takes the place of the socket module in ExaBGP's JSON encoder, which asks it for the host name for each line."""

    def __init__(self, name: str) -> None:
        self._name = name

    def gethostname(self) -> str:
        return self._name
