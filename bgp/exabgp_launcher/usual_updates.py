"""UPDATEs as most are, for a pattern that takes a tenth of the time that a look at each of their attributes takes.

Sans-IO. They announce IPv4 networks without path identifiers, with the usual attributes in the order of their codes, as
RFC 4271 §5 asks for. All of them are plain (plain_updates.py); what is not usual may be plain all the same.
"""

from __future__ import annotations

import re

COUNTS = range(1, 9)
"""How many AS numbers or communities one has that has any."""
AS_PATHS = b"|".join(rb"\x%02x\x02\x%02x(?:(?!\0{4}).{4}){%d}" % (2 + 4 * count, count, count) for count in COUNTS)
COMMUNITY_LISTS = b"|".join(rb"\x%02x.{%d}" % (4 * count, 4 * count) for count in COUNTS)
ATTRIBUTES = (
    rb"\x40\x01\x01([\0-\2])"
    rb"\x40\x02(\0|" + AS_PATHS + rb")"
    rb"\x40\x03\x04(.{4})"
    rb"(?:\x80\x04\x04(.{4}))?"
    rb"(?:\x40\x05\x04(.{4}))?"
    rb"(?:\xc0\x08(" + COMMUNITY_LISTS + rb"))?"
)
NETWORK = rb"(?:\0|[\x01-\x08].|[\x09-\x10].{2}|[\x11-\x18].{3}|[\x19-\x20].{4})"
LENGTH, ALL_ATTRIBUTES, ORIGIN, AS_PATH, NEXT_HOP, MED, LOCAL_PREF, COMMUNITIES = range(1, 9)
"""The groups of a match. Of an AS_PATH and of communities the value has its length in front, one byte."""

USUAL_ATTRIBUTES = re.compile(ATTRIBUTES, re.DOTALL)
USUAL = re.compile(rb"\0\0(..)(" + ATTRIBUTES + rb")" + NETWORK + rb"++", re.DOTALL)


def usual(body: bytes) -> re.Match[bytes] | None:
    """Return the match of the body of a usual UPDATE."""
    found = USUAL.fullmatch(body)
    return found if found is not None and int.from_bytes(found[LENGTH]) == len(found[ALL_ATTRIBUTES]) else None
