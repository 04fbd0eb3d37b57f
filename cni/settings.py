"""What the verbs must know of this node. Pure."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from cni.attachment import PodRef
from datastore.names import interface_name

DEFAULT_MTU = 1500


class CniSettings(Struct, frozen=True):
    """This node's name, how its pods' devices are called, and how long a verb may take."""

    node: str
    interface_prefix: str = "cali"
    sysctls: Path = Path("/proc/sys")
    """Where sysctls can be written: in a container not where they are read."""
    timeout_seconds: float = 60.0
    """An ADD, DEL or CHECK that takes longer is given up, and undone."""
    convergence_seconds: float = 2.0
    """How long CHECK waits for routes that are still being written."""

    def host_name(self, pod: PodRef, device: str) -> str:
        """Return the name of the host's end of the veth whose other end is `device` in a pod."""
        return interface_name(pod.namespace, pod.name, self.interface_prefix, device)
