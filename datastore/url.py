"""What the URL of a datastore names. Pure."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from datastore.errors import Invalid


def sqlite_path(url: str) -> Path | None:
    """Return the file that `sqlite:///path/to/file.db` names, or None for `sqlite:///:memory:`.

    Raises Invalid: the URL names no store.
    """
    scheme, separator, rest = url.partition("://")
    if scheme != "sqlite" or not separator:
        raise Invalid(f'open datastore "{url}": the URL does not begin with sqlite:///')
    if rest == "/:memory:":
        return None
    path = "/" + unquote(rest).lstrip("/")
    if not rest.startswith("/") or path.endswith("/") or not path.isprintable():
        raise Invalid(f'open datastore "{url}": after sqlite:// comes the absolute path of a file')
    return Path(path)
