"""What the URL of a datastore names. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import parse_qs, quote, unquote

from datastore.errors import Invalid

GROUPS: Final = ("crd.projectcalico.org/v1", "projectcalico.org/v3")
"""In which Calico's resources may be served: `CRD` and `V3` of `datastore.record`, which takes long to import."""


class SqliteFile(NamedTuple):
    """`sqlite:///path/to/file.db`, or `sqlite:///:memory:`, which has no path."""

    path: Path | None


class KubernetesApi(NamedTuple):
    """`kubernetes://`, or `kubernetes:///path/to/kubeconfig?context=NAME&group=GROUP`.

    Without a path, KUBECONFIG, ~/.kube/config, or a pod's service account say where the API server is. Without a group,
    one of GROUPS, what is served there says in which Calico's resources are.
    """

    kubeconfig: Path | None
    context: str | None
    group: str | None = None


StoreAddress: TypeAlias = SqliteFile | KubernetesApi


def parse_url(url: str) -> StoreAddress:
    """Return the store that a URL names. Raises Invalid: it names none."""
    scheme, separator, rest = url.partition("://")
    match scheme if separator else "":
        case "sqlite":
            return SqliteFile(None if rest == "/:memory:" else _path(url, rest))
        case "kubernetes":
            path, _, query = rest.partition("?")
            return KubernetesApi(_path(url, path) if path else None, *_choices(url, query))
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


def with_choice(url: str, name: str, value: str) -> str:
    """Return the URL of an API server with one more choice: `context` or `group`."""
    return f"{url}{'&' if '?' in url else '?'}{name}={quote(value, safe='/')}"


def _choices(url: str, query: str) -> tuple[str | None, str | None]:
    """Return context and group."""
    given = parse_qs(query, keep_blank_values=True)
    contexts, groups = given.pop("context", [None]), given.pop("group", [None])
    if given or len(contexts) != 1 or contexts[0] == "" or len(groups) != 1 or groups[0] not in (None, *GROUPS):
        raise Invalid(
            f'open datastore "{url}": after ? come context=NAME and group={" or ".join(GROUPS)}, joined by &, and'
            " nothing else"
        )
    return contexts[0], groups[0]
