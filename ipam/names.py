"""Names, labels and texts of address records, in the formats shared with Calico.

Pure. A record under another name, or an affinity without its labels, is invisible to the other agents of the cluster,
so these functions are tested against records that Calico wrote.
"""

from __future__ import annotations

import hashlib
from base64 import b32encode
from datetime import UTC, datetime

from datastore.names import FIRST_DEVICE, object_name

WINDOWS_HANDLE = "windows-reserved-ipam-handle"
HOSTNAME_LABEL = "projectcalico.org/hostname-hash"
TYPE_LABEL = "projectcalico.org/affinity-type"
VERSION_LABEL = "projectcalico.org/ip-version"

_LONGEST_NAME = 252
_SUFFIX = 13  # what a shortened name holds beside host and CIDR: 11 digits of the hash and two dashes


def cidr_name(cidr: str) -> str:
    """Return the object name of a block: `10.65.84.128/26` is kept as `10-65-84-128-26`."""
    return cidr.replace(".", "-").replace(":", "-").replace("/", "-")


def affinity_name(host: str, cidr: str) -> str:
    """Return the object name of a host's affinity; long host names are cut and made unique by a hash."""
    block = cidr_name(cidr)
    name = f"{host}-{block}"
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(f"{host}+{block}".encode()).hexdigest()[:11]
    return f"{host[: _LONGEST_NAME - len(block) - _SUFFIX]}-{block}-{digest}"


def handle_name(handle: str) -> str:
    """Return the object name of a handle. The record itself keeps upper-case letters and what no name may hold."""
    return object_name(handle.lower())


def hostname_hash(host: str) -> str:
    return b32encode(hashlib.sha3_256(host.encode()).digest()).decode().rstrip("=")


def affinity_labels(host: str, version: int, kind: str = "host") -> dict[str, str]:
    """Return the labels by which an affinity is listed; its own host does not find one without them."""
    return {
        TYPE_LABEL: kind,
        HOSTNAME_LABEL: hostname_hash(host),
        VERSION_LABEL: str(version),
    }


def host_affinity(host: str) -> str:
    """Return the affinity of a block that belongs to this host."""
    return f"host:{host}"


def affine_host(affinity: str | None) -> str | None:
    """Return the host a block belongs to; None for an unaffine block or one that no host owns."""
    kind, _, owner = (affinity or "").partition(":")
    return owner if kind == "host" and owner else None


def pod_handle(network: str, container_id: str, device: str = FIRST_DEVICE) -> str:
    """Return the handle of one attachment: Calico's for a container's first device, `NETWORK.CONTAINER:DEVICE` else.

    No network, container or device has a colon in its name.
    """
    return f"{network}.{container_id}" if device == FIRST_DEVICE else f"{network}.{container_id}:{device}"


def parse_pod_handle(handle: str) -> tuple[str, str, str]:
    """Return network, container and device of a pod's handle, a container's id without dots assumed."""
    container, _, device = handle.partition(":")
    network, _, container = container.rpartition(".")
    return network, container, device or FIRST_DEVICE


def legacy_pod_handle(namespace: str, pod: str) -> str:
    """Return the handle that old releases used; DEL still releases it."""
    return f"{namespace}.{pod}"


def written_handle(handle: str | None) -> str | None:
    """Return a block's handle without the carriage return and the rubbish that some old records have behind it."""
    return handle.partition("\r")[0] if handle and "\r" in handle else handle


def claim_time_ns(text: str) -> int:
    """Return the nanoseconds since 1970 of a Kubernetes time. Raises ValueError: it is none."""
    moment = datetime.fromisoformat(text)
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()) * 10**9


def attribute_time(now_ns: int) -> str:
    """Return a pod's timestamp attribute: `2026-01-02 15:04:05.1 +0000 UTC`, without trailing zeros."""
    seconds, rest = divmod(now_ns, 10**9)
    fraction = f".{rest:09}".rstrip("0").rstrip(".")
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"
