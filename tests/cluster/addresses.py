"""The addresses of a cluster, of IPv4 alone or of both families. Pure."""

from __future__ import annotations

from dataclasses import dataclass

NODES_6 = "2001:db8:2::"
"""What an IPv6 address of the switch's network begins with."""
GATEWAY_6 = f"{NODES_6}fe"
_PODS, _PODS_6 = "10.65.0.0/16", "fd65::/48"
_SERVICES, _SERVICES_6 = "10.96.0.0/16", "fd96::/112"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Networks as Kubernetes' programs take them: one of each family, with a comma between them."""

    dual_stack: bool = False

    @property
    def pods(self) -> str:
        return self._joined(_PODS, _PODS_6)

    @property
    def services(self) -> str:
        return self._joined(_SERVICES, _SERVICES_6)

    def of_node(self, name: str) -> tuple[str, ...]:
        """Return the addresses of the node nN, of IPv4 first."""
        number = int(name.removeprefix("n"))
        return (f"192.0.2.{number}", f"{NODES_6}{number:x}") if self.dual_stack else (f"192.0.2.{number}",)

    def _joined(self, *networks: str) -> str:
        return ",".join(networks if self.dual_stack else networks[:1])
