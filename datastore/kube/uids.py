"""The UID under which Calico's clients know a custom resource. Pure."""

from __future__ import annotations

from uuid import UUID

_VERSION_AND_VARIANT = (6, 8)


def mirrored(uid: str) -> str:
    """Return a custom resource's UID as clients of Calico's v3 API see it, and the other way round.

    The bits of each byte are reversed, but for the bytes with the UUID's version and variant. What is no UUID stays.
    """
    try:
        given = UUID(uid).bytes
    except ValueError:
        return uid
    turned = (byte if at in _VERSION_AND_VARIANT else int(f"{byte:08b}"[::-1], 2) for at, byte in enumerate(given))
    return str(UUID(bytes=bytes(turned)))
