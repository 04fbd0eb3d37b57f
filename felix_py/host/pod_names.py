"""Which of a host's devices are pods', by their names and labels.

Pure. A pod's is what begins as FELIX_INTERFACEPREFIX says. Pods that were attached when that said something else keep
the devices that they have: these bear our label, or the name that Calico gives where nothing is set.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from cni.pod_devices import LABEL
from datastore.names import USUAL_PREFIX
from datastore.notices import Notice
from felix_py.encap.ipip import IPIP
from felix_py.host.autodetect import HostInterface
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


def mistaken(names: Iterable[str], prefix: str) -> list[str]:
    """Return the names, in order, that begin as pods' devices do though no pod's device is called so."""
    end = re.compile(_HASH)
    return sorted(name for name in names if name.startswith(prefix) and not end.fullmatch(name[len(prefix) :]))


def why_refused(interfaces: Collection[HostInterface], prefix: str) -> str:
    """Return why an agent can't begin with this prefix; "": it can.

    A device without addresses, as a bridge's port is, may be taken for a pod's: that is a notice.
    """
    found = mistaken({IPIP.device, *(one.name for one in interfaces)}, prefix)
    addressed = {one.name for one in interfaces if not all(address.is_link_local for address in one.addresses)}
    refused = [name for name in found if name in addressed or name == IPIP.device]
    if not refused:
        return ""
    return (
        f"FELIX_INTERFACEPREFIX={prefix}: the host's own {', '.join(refused)} would be taken for devices of pods, and"
        f" their addresses for nobody's; set another beginning, such as {USUAL_PREFIX}"
    )


def prefix_notices(names: Iterable[str], prefix: str) -> tuple[Notice, ...]:
    """Return a notice if devices of the host are taken for pods'. It names the first: such devices come and go."""
    return tuple(
        Notice(
            "Setting",
            "FELIX_INTERFACEPREFIX",
            "",
            f"the names of other devices begin with {prefix} too, such as that of {name}",
            "they are taken for devices of pods",
        )
        for name in mistaken(names, prefix)[:1]
    )
