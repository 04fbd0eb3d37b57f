"""Which version of the protocol between agent and sidecar this release speaks, and what two that differ are told.

Pure: no I/O, no clock, no logging. On a plain host the two are started anew one after the other, so that for a while
one of them is of the release before: neither guesses at what the other means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

VERSION = 3
"""Raised with every change of what a line holds (bgp/protocol.py), the sidecar's report included."""

UNSTATED = 0
"""Of a release that did not say which version it speaks."""

End = Literal["agent", "sidecar"]

_MEANWHILE: Mapping[End, str] = {
    "agent": "learned routes stay meanwhile, but a sidecar that was not configured has no sessions, and peers keep "
    "this node's routes for the restart time only",
    "sidecar": "sessions and learned routes stay meanwhile, and what changes on this node is not announced",
}


def difference(agent: int, sidecar: int) -> str | None:
    """Return why an agent and a sidecar of these versions exchange nothing, and what to do; None: they are the same.

    The older one has been running since before the new release was installed.
    """
    if agent == sidecar:
        return None
    older: End = "agent" if agent < sidecar else "sidecar"
    return (
        f"the agent speaks {_named(agent)} of their protocol, the sidecar {_named(sidecar)}: restart the {older}, "
        f"which is of the older release (systemctl restart felix-{older}); {_MEANWHILE[older]}"
    )


def _named(version: int) -> str:
    return f"version {version}" if version != UNSTATED else "a version before 1"
