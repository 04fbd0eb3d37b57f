"""What kubeconfig files say of a cluster and a user, and what of that must not be passed over or cannot be obeyed.

Pure. As for kubectl what stands first counts among several files, and paths are meant from the file that has them.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datastore.errors import Invalid

_IMPERSONATION = ("as", "as-uid", "as-groups", "as-user-extra")
_PROVIDERS = ("gcp", "oidc")
_PATHS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """One file, its text already decoded."""

    folder: Path
    content: object


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the files say of one context, paths absolute."""

    context: str
    cluster: Mapping[str, Any]
    user: Mapping[str, Any]

    @property
    def plugin(self) -> str | None:
        """The command whose output says who we are."""
        found = self.user.get("exec")
        return str(found.get("command")) if isinstance(found, Mapping) else None


def choose(files: Sequence[ConfigFile], context: str | None) -> Chosen:
    """Return what several files in their order say of a context, or of their current one.

    Raises Invalid: it is not there, or something in it cannot be obeyed.
    """
    contents = [file.content for file in files]
    name = context or current_context(contents)
    if fault := context_fault(contents, name):
        raise Invalid(fault)
    named = _entry(files, "context", name) or {}
    cluster, user = (_of_context(files, kind, name, named) for kind in ("cluster", "user"))
    if not cluster.get("server"):
        raise Invalid(f'the cluster "{named.get("cluster")}" of context "{name}" names no server')
    if why := refusal(cluster, user):
        raise Invalid(why)
    return Chosen(name or "", cluster, user)


def inline(stanza: Mapping[str, Any], name: str) -> bytes | None:
    """Return what a cluster or a user holds itself instead of naming a file for it. Raises Invalid: it is no base64."""
    written = stanza.get(f"{name}-data")
    if not written:
        return None
    try:
        return b64decode(str(written))
    except ValueError as error:
        raise Invalid(f"{name}-data is not base64: {error}") from None


def current_context(files: Iterable[Any]) -> str | None:
    """Return the context of several files in their order: as for kubectl, the first that names one decides."""
    named = (config.get("current-context") for config in files if isinstance(config, Mapping))
    return next((str(name) for name in named if name), None)


def context_fault(files: Sequence[Any], chosen: str | None) -> str | None:
    """Return what is wrong with the context that is chosen among several files, and which there are; None: nothing."""
    names = list(dict.fromkeys(_context_names(files)))
    there = f"it has {', '.join(names[:MOST_NAMED])}" if names else "it has none"
    there += f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    if chosen is None:
        return f"no current-context is set there: name a context by --context or K8S_CURRENT_CONTEXT; {there}"
    return None if chosen in names else f'there is no context "{chosen}": {there}'


MOST_NAMED = 20


def refusal(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> str | None:
    """Return why a cluster cannot be used as this user says, or None."""
    if proxy := cluster.get("proxy-url"):
        return f'proxy-url "{proxy}" is not supported: give a server that can be reached without it'
    if found := [key for key in _IMPERSONATION if user.get(key)]:
        return f"{', '.join(found)}: acting as another user is not supported; use that user's own credentials"
    provider = (user.get("auth-provider") or {}).get("name")
    if provider and provider not in _PROVIDERS:
        return f'auth-provider "{provider}" is not supported: use a credential plugin (exec)'
    return None


def _context_names(files: Iterable[Any]) -> Iterator[str]:
    for config in files:
        for entry in _entries(config, "context"):
            if isinstance(name := entry.get("name"), str):
                yield name


def _of_context(files: Sequence[ConfigFile], kind: str, context: object, named: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the cluster or the user of a context; a context without a user is nobody's."""
    name = named.get(kind)
    if kind == "user" and not name:
        return {}
    found = _entry(files, kind, name)
    if found is None:
        raise Invalid(f'context "{context}" names the {kind} "{name}", which is not there')
    return found


def _entry(files: Iterable[ConfigFile], kind: str, name: object) -> Mapping[str, Any] | None:
    """Return the first entry of a name, with its paths made absolute; None: there is none."""
    for file in files:
        for entry in _entries(file.content, kind):
            if entry.get("name") == name:
                found = entry.get(kind)
                pairs = found.items() if isinstance(found, Mapping) else ()
                return {key: str(file.folder / value) if key in _PATHS and value else value for key, value in pairs}
    return None


def _entries(content: object, kind: str) -> Iterator[Mapping[str, Any]]:
    found = content.get(f"{kind}s") if isinstance(content, Mapping) else None
    return (entry for entry in (found if isinstance(found, list) else ()) if isinstance(entry, Mapping))
