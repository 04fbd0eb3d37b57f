"""What one ADD makes and one DEL undoes, and whose container it is. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from ipam.names import pod_handle

LONGEST_LABEL_BYTES: Final = 255
LONGEST_NAMES_BYTES: Final = LONGEST_LABEL_BYTES - len("felix ")
"""Of network, container id and device together: the label of a device (IFLA_IFALIAS) holds them behind our mark."""


class Attachment(NamedTuple):
    """What one ADD makes and one DEL undoes. The specification keys it by these three."""

    network: str
    container_id: str
    device: str

    @property
    def handle(self) -> str:
        """The name its addresses are assigned under; as Calico's, so that either can release the other's."""
        return pod_handle(*self)


class PodRef(NamedTuple):
    """Who the container is for Kubernetes; for other runtimes a pod named as the container, in `default`."""

    namespace: str
    name: str
    uid: str = ""


def describe(attachment: Attachment, pod: PodRef) -> str:
    """Return an attachment as log lines and errors name it: `default/web-1 (container c4719afa76fa, eth0)`."""
    device = attachment.device.encode(errors="backslashreplace").decode()  # a DEL's may be any bytes
    return f"{pod.namespace}/{pod.name} (container {attachment.container_id[:12]}, {device})"
