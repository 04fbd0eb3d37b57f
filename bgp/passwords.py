"""The passwords of sessions: which key of which Secret each has, and what of that is known.

Pure. For the agent only: it reads pydantic resources, which the sidecar's process does without.

A password that cannot be read anew goes on as it was last read: neither an API server that is away nor a right that is
lost ends a session that runs. A Secret or a key that is gone has been taken away on purpose: its sessions end. No
session that is to have a password is ever brought up without one; Calico brings it up so.

    what is known of the Secret       the session                          what is said
    --------------------------------  -----------------------------------  ---------------------------------
    read                              has the password of the key          nothing
    read, and no longer may be        has the password last read           a notice: the right that is lacking
    read, and its record is invalid   has the password last read           a notice: what is invalid
    read by the agent before this     has the password last read           a notice: that it has not been read since
    may not be read, nor ever was     held back                            the right that is lacking
    not answered for                  held back                            that it has not been read
    not there, or without the key     held back                            which of the two
    a value that is no password       held back                            why it is none
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import Struct

from bgp.exabgp_config import LONGEST_KEY_BYTES
from datastore.kinds.bgp import Password
from datastore.record import is_name

NOT_READ = "only a datastore on Kubernetes has the Secrets that hold passwords"


@dataclass(frozen=True, slots=True)
class KnownSecret:
    """What is known of one Secret.

    answered: whether the store has said anything of it. values: by key, as last read, if need be by the agent before
    this one; None: it is not there, or was never read. trouble: why it cannot be read at present.
    """

    answered: bool = False
    values: Mapping[str, bytes] | None = field(default=None, repr=False)
    trouble: str = ""


class KnownSecrets(Struct, frozen=True):
    """Those of the namespace that passwords are in, by name."""

    namespace: str
    by_name: Mapping[str, KnownSecret]


@dataclass(frozen=True, slots=True)
class SessionPassword:
    """The password of a session, as far as it is known.

    held_back: why the session must not come up. doubt: why the password may be another by now.
    """

    text: str | None = field(default=None, repr=False)
    held_back: str | None = None
    doubt: str = ""


NO_PASSWORD = SessionPassword()


def secret_key(asked: Password) -> tuple[str, str] | None:
    """Return the Secret that a password is in, and its key there; None: no Secret is named."""
    reference = asked.secret_key_ref
    if reference is None or reference.name is None or not is_name(reference.name):
        return None
    return reference.name, reference.key


def session_password(asked: Password | None, secrets: KnownSecrets | None) -> SessionPassword:
    """Return the password of a session that asks for this one. secrets: None where the datastore has none."""
    if asked is None or asked.secret_key_ref is None:
        return NO_PASSWORD
    if secrets is None:
        return SessionPassword(held_back=NOT_READ)
    named = secret_key(asked)
    if named is None:
        return SessionPassword(
            held_back=f"{asked.secret_key_ref.name!r} is no name of a Secret that a password can be in"
        )
    name, key = named
    return _of_secret(key, f"{secrets.namespace}/{name}", secrets.by_name.get(name, KnownSecret()))


def _of_secret(key: str, where: str, known: KnownSecret) -> SessionPassword:
    if known.answered:
        doubt = known.trouble and f"Secret {where} cannot be read any more: {known.trouble}"
    else:
        doubt = f"Secret {where} has not been read yet: what the API server answers is in the agent's log"
    match known:
        case KnownSecret(answered=False, values=None):
            return SessionPassword(held_back=doubt)
        case KnownSecret(values=None, trouble=""):
            return SessionPassword(held_back=f"there is no Secret {where}")
        case KnownSecret(values=None):
            return SessionPassword(held_back=f"Secret {where} cannot be read: {known.trouble}")
        case KnownSecret(values=values) if values is not None and key in values:
            return _of_value(values[key], f'the password in Secret {where}, key "{key}",', doubt)
    return SessionPassword(held_back=f'Secret {where} has no key "{key}"{doubt and f"; {doubt}"}')


def _of_value(value: bytes, what: str, doubt: str) -> SessionPassword:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return SessionPassword(held_back=f"{what} is not text in UTF-8")
    wrong = _why_none(text)
    return SessionPassword(held_back=f"{what} {wrong}") if wrong else SessionPassword(text, doubt=doubt)


def _why_none(text: str) -> str:
    """Return why a text is no password, without showing it."""
    if not text:
        return "is empty"
    if text.rstrip("\r\n") != text:
        return "ends with a line break, which its peer hardly has: make it with printf, or echo -n"
    if not text.isprintable():
        return "has characters that cannot be printed"
    if len(text.encode()) > LONGEST_KEY_BYTES:
        return f"has {len(text.encode())} bytes, and the kernel's TCP MD5 takes {LONGEST_KEY_BYTES} at most"
    return ""
