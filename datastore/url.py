"""What the URL of a datastore names. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, TypeAlias
from urllib.parse import parse_qs, unquote

from datastore.errors import Invalid


class SqliteFile(NamedTuple):
    """`sqlite:///path/to/file.db`, or `sqlite:///:memory:`, which has no path."""

    path: Path | None


class KubernetesApi(NamedTuple):
    """`kubernetes://`, or `kubernetes:///path/to/kubeconfig?context=NAME`.

    Without a path, KUBECONFIG, ~/.kube/config, or a pod's service account say where the API server is.
    """

    kubeconfig: Path | None
    context: str | None


StoreAddress: TypeAlias = SqliteFile | KubernetesApi


def parse_url(url: str) -> StoreAddress:
    """Return the store that a URL names. Raises Invalid: it names none."""
    scheme, separator, rest = url.partition("://")
    match scheme if separator else "":
        case "sqlite":
            return SqliteFile(None if rest == "/:memory:" else _path(url, rest))
        case "kubernetes":
            path, _, query = rest.partition("?")
            return KubernetesApi(_path(url, path) if path else None, _context(url, query))
        case _:
            raise Invalid(f'open datastore "{url}": the URL begins neither with sqlite:/// nor with kubernetes://')


def has_namespaces(url: str) -> bool:
    """Whether the store that a URL names has Namespaces, as Kubernetes has. Raises Invalid: it names none."""
    return isinstance(parse_url(url), KubernetesApi)


def _path(url: str, rest: str) -> Path:
    path = "/" + unquote(rest).lstrip("/")
    if not rest.startswith("/") or path.endswith("/") or not path.isprintable():
        raise Invalid(f'open datastore "{url}": after {url.partition("://")[0]}:// comes the absolute path of a file')
    return Path(path)


def _context(url: str, query: str) -> str | None:
    given = parse_qs(query, keep_blank_values=True)
    contexts = given.pop("context", [None])
    if given or len(contexts) != 1 or contexts[0] == "":
        raise Invalid(f'open datastore "{url}": after ? comes context=NAME and nothing else')
    return contexts[0]
