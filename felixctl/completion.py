"""Shell completion of kinds, names and output formats. An edge: names are read from the datastore.

A completion never fails and creates nothing: without a datastore there are no names to complete.
"""

from __future__ import annotations

import os
from typing import Any

from datastore.defaults import DEFAULT_URL
from felixctl.resources import formats, kinds


def complete_kinds(incomplete: str) -> list[str]:
    """Return the kinds that begin so: plurals or, if none does, any of their names."""
    plurals = [noun.plural for noun in kinds.NOUNS if noun.plural.startswith(incomplete)]
    return plurals or [word for noun in kinds.NOUNS for word in noun.aliases if word.startswith(incomplete)]


def complete_formats(incomplete: str) -> list[str]:
    """Return the values of -o that begin so."""
    words = (*formats.TABLES, *formats.WHOLE, *(f"{name}=" for name in formats.TEMPLATES))
    return [word for word in words if word.startswith(incomplete)]


def complete_names(ctx: Any, incomplete: str) -> list[str]:
    """Return the names of objects of the kind that the command line names."""
    written = ctx.params
    url = written.get("url") or os.environ.get("FELIX_DATASTORE", DEFAULT_URL)
    namespace = None if written.get("all_namespaces") else written.get("namespace") or "default"
    try:
        return [name for name in _names(kinds.noun(written["kind"]), url, namespace) if name.startswith(incomplete)]
    except Exception:  # an error message would land in the middle of the user's command line
        return []


def _names(noun: kinds.Noun, url: str, namespace: str | None) -> list[str]:
    from datastore.resources import KINDS
    from datastore.store import Interest
    from felixctl.connection import reading

    model = KINDS[noun.stored_kind]
    within = namespace if noun.namespaced else None
    found = reading(url, lambda store: store.list(Interest(model, namespace=within)))
    return [one.name for one in found.objects]
