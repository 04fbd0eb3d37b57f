"""What the cluster says, and how it is kept: resources, selectors, and the stores behind one set of verbs."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from datastore.store import Store


def open(url: str) -> Store:
    """Return the store that `sqlite:///path/to/file.db` names; nothing is read before the first verb.

    `sqlite:///:memory:` is a store of this process's own, for tests.
    Raises Invalid: the URL names no store.
    """
    from datastore.errors import Invalid

    scheme, separator, rest = url.partition("://")
    if scheme != "sqlite" or not separator:
        raise Invalid(f'open datastore "{url}": the URL does not begin with sqlite:///')
    if rest == "/:memory:":
        from datastore.sqlite import SqliteStore

        return SqliteStore(None)
    if not rest.startswith("/") or rest.endswith("/"):
        raise Invalid(f'open datastore "{url}": after sqlite:// comes the absolute path of a file')
    from datastore.sqlite import SqliteStore

    return SqliteStore("/" + unquote(rest).lstrip("/"))
