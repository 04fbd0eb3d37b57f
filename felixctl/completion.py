"""What the shell may complete: kinds, names, forms. An edge: names are read from the datastore.

A completion never fails and never makes anything: where there is no datastore, there is nothing to complete.
"""

from __future__ import annotations

import os
from typing import Any

from datastore.defaults import DEFAULT_URL
from felixctl.resources import formats, kinds


def complete_kinds(incomplete: str) -> list[str]:
    """Return the kinds that a word may become: plurals, and if none fits, any word that is known."""
    plurals = [noun.plural for noun in kinds.NOUNS if noun.plural.startswith(incomplete)]
    return plurals or [word for noun in kinds.NOUNS for word in noun.aliases if word.startswith(incomplete)]


def complete_formats(incomplete: str) -> list[str]:
    """Return the values of -o that a word may become."""
    words = (*formats.TABLES, *formats.WHOLE, *(f"{name}=" for name in formats.TEMPLATES))
    return [word for word in words if word.startswith(incomplete)]


def complete_names(ctx: Any, incomplete: str) -> list[str]:
    """Return the names of the kind that stands on the command line already."""
    written = ctx.params
    url = written.get("url") or os.environ.get("FELIX_DATASTORE", DEFAULT_URL)
    namespace = None if written.get("all_namespaces") else written.get("namespace") or "default"
    try:
        return [name for name in _names(kinds.noun(written["kind"]), url, namespace) if name.startswith(incomplete)]
    except Exception:  # whatever is wrong, a shell in the middle of a line is not the place to say it
        return []


def _names(noun: kinds.Noun, url: str, namespace: str | None) -> list[str]:
    from datastore.resources import KINDS
    from datastore.store import Interest
    from felixctl.connection import reading

    model = KINDS[noun.stored_kind]
    within = namespace if noun.namespaced else None
    found = reading(url, lambda store: store.list(Interest(model, namespace=within)))
    return [one.name for one in found.objects]
