"""Names that a pod's attachment goes by, in the formats shared with Calico.

Pure.
"""

from __future__ import annotations

import hashlib


def workload_endpoint_name(node: str, pod: str, orchestrator: str = "k8s", endpoint: str = "eth0") -> str:
    """Return the name of a pod's endpoint; dashes within a part are doubled, so that it can be taken apart again."""
    return "-".join(part.replace("-", "--") for part in (node, orchestrator, pod, endpoint))


def interface_name(namespace: str, pod: str, prefix: str = "cali") -> str:
    """Return the name of a pod's device on its node: it depends on the pod's name alone."""
    return prefix + hashlib.sha1(f"{namespace}.{pod}".encode(), usedforsecurity=False).hexdigest()[:11]
