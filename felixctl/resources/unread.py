"""Objects whose stored records cannot be read: they can be deleted, so that they can be written anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from datastore.errors import BadRecord, NotFound
from datastore.record import Metadata
from datastore.store import Store
from felixctl.errors import CommandError
from felixctl.resources.manifests import ObjectKey


async def unread_among(store: Store, keys: Iterable[ObjectKey]) -> list[ObjectKey]:
    """Return those that are there and cannot be read. What IPAM alone writes is for `ipam check` to repair."""
    found = []
    for key in keys:
        try:
            with suppress(NotFound):
                await store.get(key.model, key.name, key.namespace)
        except BadRecord:
            if not key.noun.written_by:
                found.append(key)
    return found


async def delete_unread(store: Store, keys: Sequence[ObjectKey]) -> None:
    """Delete these records, whatever they hold."""
    for key in keys:
        named = Metadata(name=key.name, namespace=key.namespace)
        with suppress(NotFound):
            await store.delete(key.model.model_construct(metadata=named))


def cure(key: ObjectKey, unread: BadRecord) -> CommandError:
    """Return what to say of an object that is to be changed and cannot be read."""
    if key.noun.written_by:
        return CommandError(
            f"{unread}; it is written by {key.noun.written_by} only, and is neither used nor repaired: put a backup of"
            " the datastore back"
        )
    return CommandError(
        f"{unread}; delete it (felixctl delete {key.noun.kind.lower()} {key.name}), and it can be written anew"
    )
