"""What a kubeconfig says that must not be passed over: which context counts, and what cannot be obeyed.

Pure. The `kubernetes` package reads the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

_IMPERSONATION = ("as", "as-uid", "as-groups", "as-user-extra")
_PROVIDERS = ("gcp", "oidc")


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


def _context_names(files: Iterable[Any]) -> Iterator[str]:
    for config in files:
        found = config.get("contexts") if isinstance(config, Mapping) else None
        for entry in found if isinstance(found, list) else ():
            if isinstance(entry, Mapping) and isinstance(name := entry.get("name"), str):
                yield name


def refusal(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> str | None:
    """Return why a cluster cannot be used as this user says, or None."""
    if proxy := cluster.get("proxy-url"):
        return f'proxy-url "{proxy}" is not supported: give a server that can be reached without it'
    if not isinstance(unverified := cluster.get("insecure-skip-tls-verify") or False, bool):
        return f'insecure-skip-tls-verify "{unverified}" is neither true nor false'
    if found := [key for key in _IMPERSONATION if user.get(key)]:
        return f"{', '.join(found)}: acting as another user is not supported; use that user's own credentials"
    provider = (user.get("auth-provider") or {}).get("name")
    if provider and provider not in _PROVIDERS:
        return f'auth-provider "{provider}" is not supported: use a credential plugin (exec)'
    return None
