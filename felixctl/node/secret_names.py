"""Which names say that what follows them is a secret.

Pure. In doubt a name does. One that says where a secret is, or how it is handled, does not: `secretName`, `tokenFile`.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache


class Hint(Enum):
    """How plainly a name says it."""

    PLAIN = "its value may follow without a sign: password x"
    ASSIGNED = "only with a sign between: pass=x"


CANDIDATE = re.compile(
    r"passw|passphrase|secret|token|cred|bearer|cookie|authori[sz]ation|psk|pwd|pswd|md5|dockerc|signature|jwt"
    r"|key|pass|auth|sig|pw|otp|communit",
    re.IGNORECASE,
)
"""What a name must contain, so that a long text is searched quickly."""
_SEGMENT = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_PLAIN = re.compile(
    r"passw|passphrase|passcode|passkey|secret|token|credential|bearer|keystring|connectionstring"
    r"|(?:require|master|slave)pass$|masterauth$|[a-z]{2}pw$|snmpcommunity|communitystring$"
    r"|(?:private|preshared|psk|api|access|auth|authentication|encryption|shared|session|master|signing|client|ssh|tls"
    r"|digest|isakmp|radiusserver|tacacsserver|ldapserver"
    r"|wrapping|unlock|account|storage|license|enc|crypto?|priv|hmac|sha\d*|md5|aes|ipsec|ike)keys?(?:data)?$"
)
_ASSIGNED = frozenset(
    [
        "pass",
        "pwd",
        "pswd",
        "pw",
        "psk",
        "sig",
        "signature",
        "md5",
        "cookie",
        "cookies",
        "authorization",
        "cred",
        "creds",
        "jwt",
        "otp",
        "totp",
    ]
)
_ENDS = re.compile(r"md5$|(?<!by)(?<!com)(?<!sur)(?<!tres)(?<!under)(?<!over)(?<!ssh)pass$")
"""What a name is written together with: tcpmd5, dbpass; but no word that ends so, and not sshpass, a program."""
_WHOLE = frozenset(("auth", "setcookie", "proxyauthorization", "authorisation", "dockerconfigjson", "dockercfg"))
_ABOUT = frozenset(
    """
    ref refs name names namespace namespaces path paths file files dir directory type kind count seconds minutes ttl
    expiry expiration expires lifetime length size len policy mode url uri endpoint version enabled required optional
    audience audiences issuer hash algorithm method timeout source sources store provider class review total from found
    init
    """.split()  # noqa: SIM905 - as text they take two lines
)
"""A name that ends so is about a secret and is none."""
_NAMES_OF_OBJECTS = frozenset(("imagepullsecrets", "secretkeyselector"))


@lru_cache(maxsize=256)
def hint(name: str) -> Hint | None:
    """Return how plainly a name says that a secret follows; None: it does not."""
    name = name.rpartition("/")[2]
    segments = [segment.lower() for segment in _SEGMENT.findall(name)]
    joined = "".join(segments)
    if not segments or segments[-1] in _ABOUT or joined in _NAMES_OF_OBJECTS:
        return None
    if name == "SSHPASS":
        return Hint.ASSIGNED
    if _PLAIN.search(joined) or (segments[-1] == "psk"):
        return Hint.PLAIN
    if joined in _WHOLE or not _ASSIGNED.isdisjoint((joined, *segments)) or _ENDS.search(joined) or _is_key_file(name):
        return Hint.ASSIGNED
    return None


def refers(name: str) -> bool:
    """Whether a name announces where a secret is: what stands below it are names."""
    segments = [segment.lower() for segment in _SEGMENT.findall(name)]
    return len(segments) > 1 and segments[-1] in ("ref", "name", "selector")


def _is_key_file(name: str) -> bool:
    """As the entries of a Secret are called: tls.key."""
    return name.lower().endswith((".key", ".pem")) and len(name) > 4
