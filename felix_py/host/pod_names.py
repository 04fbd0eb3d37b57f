"""Which of a host's devices are pods', by their names and labels.

Pure. A pod's is what begins as FELIX_INTERFACEPREFIX says. Pods that were attached when that said something else keep
the devices that they have: these bear our label, or the name that Calico gives where nothing is set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from cni.pod_devices import LABEL
from datastore.names import USUAL_PREFIX
from kernel.link_codec import Link

_HASH_DIGITS = 11
_HASH = rf"[0-9a-f]{{{_HASH_DIGITS}}}"
_USUAL = re.compile(rf"{re.escape(USUAL_PREFIX)}{_HASH}")
_ANY = re.compile(rf"[A-Za-z0-9._-]{{1,4}}{_HASH}")


def is_pods(link: Link, prefix: str) -> bool:
    """Whether a device is a pod's. prefix: what FELIX_INTERFACEPREFIX says now."""
    return link.name.startswith(prefix) or link.alias.startswith(f"{LABEL} ") or _USUAL.fullmatch(link.name) is not None


def prefixes(links: Iterable[Link], prefix: str) -> tuple[str, ...]:
    """Return how the names of pods' devices begin: as is set, and as was set when those that are up were made."""
    pods = (link.name for link in links if link.up and is_pods(link, prefix) and _ANY.fullmatch(link.name))
    others = {name[:-_HASH_DIGITS] for name in pods if not name.startswith(prefix)}
    return (prefix, *sorted(others))
