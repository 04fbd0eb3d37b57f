"""Whose an endpoint is: which attachment's, and which pod's among those that have had its name.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from cni.attachment import Attachment, PodRef
from datastore.kinds.pods import WorkloadEndpoint
from datastore.names import IPAM, NETWORK

MIRROR = "kubernetes.io/config.mirror"
"""Of a pod that shows one of a file of its node's: the UID that the kubelet calls that one by."""


def is_of(endpoint: WorkloadEndpoint, attachment: Attachment) -> bool:
    """Whether an endpoint is this attachment's, as far as it says: network, container and device.

    One that names no container, as an administrator may write it, is taken for its pod's only one.
    """
    return (
        endpoint.annotations.get(NETWORK, attachment.network) == attachment.network
        and endpoint.spec.container_id in (attachment.container_id, "", None)
        and endpoint.spec.endpoint == attachment.device
    )


def is_of_pod(endpoint: WorkloadEndpoint, pod: PodRef) -> bool:
    """Whether an endpoint that is a pod is this very one, by its UID. Without one nothing is sure."""
    return bool(pod.uid) and pod.uid in (endpoint.metadata.uid, endpoint.annotations.get(MIRROR))


def without_giver(annotations: Mapping[str, str]) -> dict[str, str]:
    """Return a pod's annotations without what gave an older container's addresses: a newer one's may be of pools."""
    return {key: text for key, text in annotations.items() if key != IPAM}
