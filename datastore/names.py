"""Names that a pod's attachment goes by, in the formats shared with Calico.

Pure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Final

FIRST_DEVICE: Final = "eth0"
"""A container's end in the network that its pod is known by; what else a container has is named with its device."""

USUAL_PREFIX: Final = "cali"
"""With which the names of pods' devices begin, unless FELIX_INTERFACEPREFIX of the node says otherwise."""

NETWORK: Final = "felix-py/network"
"""The annotation that names an endpoint's CNI network, which Calico's records do not."""

IPAM: Final = "felix-py/ipam"
"""The annotation that names what gave an endpoint its addresses, where they are in no IPAM block: a plugin, or an
annotation of the pod's own."""

POD_IPS: Final = "cni.projectcalico.org/podIPs"
"""The annotation in which an agent writes a container's addresses on its pod, whose status has them later."""

DEVICE: Final = "felix-py/device"
"""The annotation that names a pod's device on its node, where FELIX_INTERFACEPREFIX makes it another than usual."""

ENCAPSULATED: Final = "projectcalico.org/metadata"
"""The annotation in which libcalico keeps an object's own labels and annotations."""

_LONGEST = 253
_NAME = re.compile(rf"[a-z0-9._-]{{1,{_LONGEST}}}", re.ASCII)
_HASH_DIGITS = 11
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*", re.ASCII)
_NAMESPACE = re.compile(_LABEL, re.ASCII)
_LABEL_TEXT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", re.ASCII)
_LABEL_WORDS = 'at most 63 letters, digits, "-", "_" and ".", with a letter or a digit at both ends'


def name_faults(name: str, namespace: str | None) -> Iterator[str]:
    """Yield what Kubernetes says against a new object's name and namespace. Those that exist already are left alone."""
    if len(name) > _LONGEST or not _SUBDOMAIN.fullmatch(name):
        yield (
            f'metadata.name "{name}" is no name: at most {_LONGEST} lower-case letters, digits, "-" and ".",'
            " with a letter or a digit at both ends and on both sides of each dot"
        )
    if namespace is not None and not _NAMESPACE.fullmatch(namespace):
        yield (
            f'metadata.namespace "{namespace}" is no namespace: at most 63 lower-case letters, digits and "-",'
            " with a letter or a digit at both ends"
        )


def label_faults(labels: Mapping[str, str]) -> Iterator[str]:
    """Yield what Kubernetes says against new labels, by key. A key that is none can be named by no selector."""
    for key, value in labels.items():
        prefix, slash, name = key.rpartition("/")
        if not _LABEL_TEXT.fullmatch(name) or (
            slash and not (len(prefix) <= _LONGEST and _SUBDOMAIN.fullmatch(prefix))
        ):
            yield f'metadata.labels "{key}" is no key of a label: {_LABEL_WORDS}, after a DNS name and "/" or without'
        if value and not _LABEL_TEXT.fullmatch(value):
            yield f'metadata.labels.{key} "{value}" is no value of a label: {_LABEL_WORDS}, or none'


def object_name(text: str) -> str:
    """Return a text as an object's name: as it is, or cut and with other signs replaced, and then unique by a hash."""
    if _NAME.fullmatch(text):
        return text
    kept = re.sub(r"[^a-z0-9.-]+", "-", text.lower())[: _LONGEST - _HASH_DIGITS - 1].rstrip("-.")
    return f"{kept}-{hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()[:_HASH_DIGITS]}"


def workload_endpoint_name(node: str, pod: str, orchestrator: str = "k8s", endpoint: str = FIRST_DEVICE) -> str:
    """Return the name of a pod's endpoint; dashes within a part are doubled, so that it can be taken apart again.

    Parts that make no name, such as a pod's name of 245 characters with dashes, are cut and hashed.
    """
    node, orchestrator = node.replace("-", "--"), orchestrator.replace("-", "--")
    pod, endpoint = pod.replace("-", "--"), endpoint.replace("-", "--")
    return object_name(f"{node}-{orchestrator}-{pod}-{endpoint}")


def interface_name(namespace: str, pod: str, prefix: str = USUAL_PREFIX, device: str = FIRST_DEVICE) -> str:
    """Return the name of a pod's device on its node. For the first it depends on the pod's name alone, as Calico's."""
    end = f"{namespace}.{pod}" if device == FIRST_DEVICE else f"{namespace}.{pod}/{device}"
    return prefix + hashlib.sha1(end.encode(errors="surrogateescape"), usedforsecurity=False).hexdigest()[:11]
