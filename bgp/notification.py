"""Why a session ended, as a phrase: ExaBGP gives the two numbers of a NOTIFICATION, or a text of its own.

Pure: no I/O, no clock, no logging.
"""

from __future__ import annotations

import re

# RFC 4271 §4.5, RFC 4486, RFC 6608, RFC 7313, RFC 8538; (code, 0) where no subcode is known.
_MEANINGS = {
    (1, 0): "message header error",
    (1, 1): "connection not synchronised",
    (1, 2): "bad message length",
    (1, 3): "bad message type",
    (2, 0): "OPEN refused",
    (2, 1): "BGP version not supported",
    (2, 2): "wrong AS number",
    (2, 3): "bad router id",
    (2, 6): "hold time not acceptable",
    (2, 7): "capability not supported",
    (3, 0): "UPDATE malformed",
    (4, 0): "hold timer expired",
    (5, 0): "message in the wrong state",
    (6, 0): "session ceased",
    (6, 1): "prefix limit reached",
    (6, 2): "administrative shutdown",
    (6, 3): "peer not configured",
    (6, 4): "administrative reset",
    (6, 5): "connection rejected",
    (6, 6): "configuration changed",
    (6, 7): "connections collided",
    (6, 8): "out of resources",
    (6, 9): "hard reset",
}

# How ExaBGP reports the end of a session in which no NOTIFICATION passed.
_SILENT_ENDS = ("closing connection", "graceful restarted negotiated", "closing outgoing connection")
_TAKEN_OUT = "stop, message [removed]"  # how it reports the end of one that its configuration has no more
_NOTIFICATION = re.compile(r"notification (sent|received) \((\d+), ?(\d+)\)")


def explain(reason: str) -> str:
    """Return a phrase for status and logs. Other text, the peer's or ExaBGP's, is made printable and cut short."""
    if reason == _TAKEN_OUT:
        return "it was taken out of ExaBGP's configuration"
    found = _NOTIFICATION.search(reason)
    if found is None:
        return "".join(c if c.isprintable() else "?" for c in reason[:200]) or "ended without a reason"
    direction, code, subcode = found[1], int(found[2]), int(found[3])
    meaning = _MEANINGS.get((code, subcode)) or _MEANINGS.get((code, 0)) or "unknown error"
    return f"{meaning} (NOTIFICATION {code}/{subcode} {direction})"


def refuses_router_id(reason: str) -> bool:
    """True if one end refuses the other's router id. On an internal session the two must differ (RFC 6286 §2.1)."""
    found = _NOTIFICATION.search(reason)
    return found is not None and found.groups()[1:] == ("2", "3")


def is_silent(reason: str) -> bool:
    """True if no NOTIFICATION ended the session: only then may it be a restart (RFC 4724 §4.2)."""
    return reason.startswith(_SILENT_ENDS)


def is_more_informative(reason: str, known: str) -> bool:
    """True if a failed attempt's reason should replace the one that is shown.

    Later attempts that fail end as a bare "closing connection"; only the first one has a reason.
    """
    return not known or _NOTIFICATION.search(reason) is not None
