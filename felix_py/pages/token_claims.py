"""What a token says of itself, for a first look: whether it is worth asking the API server about, and how long.

Pure. Nothing here is proof: whoever sends a token may have written it. The API server alone knows whether it made it.
"""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode

from msgspec import Struct


class TokenClaims(Struct, frozen=True):
    """audiences: whom the token is for. expires: seconds of the epoch; None: it does not say."""

    audiences: tuple[str, ...] = ()
    expires: float | None = None


def claims_of(token: str) -> TokenClaims | None:
    """Return what a JSON Web Token (RFC 7519 §4.1) claims; None: it is none, as the API server's tokens are."""
    parts = token.split(".")
    if len(parts) != 3 or not all(parts):
        return None
    try:
        claims = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    if not isinstance(claims, dict):
        return None
    written, expires = claims.get("aud"), claims.get("exp")
    audiences = written if isinstance(written, list) else [written]
    try:
        until = float(expires) if isinstance(expires, int | float) and not isinstance(expires, bool) else None
    except OverflowError:
        return None
    return TokenClaims(tuple(one for one in audiences if isinstance(one, str)), until)
