"""Where the API server is and who we are, of a kubeconfig that says no more than most do, and of a pod's account.

An edge. It does without the `kubernetes` package, whose import takes as long as a short command. What says anything
else, such as a plugin, and whatever is in any way odd is left to `datastore.kube.access`, which says what is wrong.
"""

from __future__ import annotations

import json
import os
import ssl
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from datastore.kube.kubeconfig import context_fault, current_context
from datastore.kube.tls import client_tls

IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
OWN = Path(".kube/config")
"""In the home folder."""
HTTP1 = "http/1.1"

_CLUSTER = frozenset(
    ("server", "certificate-authority", "certificate-authority-data", "insecure-skip-tls-verify", "tls-server-name")
)
_USER = frozenset(("token", "client-certificate", "client-certificate-data", "client-key", "client-key-data"))


class PlainAccess(NamedTuple):
    """How to reach one API server, by TLS and HTTP/1.1."""

    host: str
    port: int
    path: str
    """What comes before /api: empty but behind a proxy."""
    tls: ssl.SSLContext
    server_name: str
    """Whose certificate the server must show."""
    authorization: str | None
    """A header's value that proves who we are; None: our certificate does."""

    def __repr__(self) -> str:
        return f"PlainAccess(host={self.host!r}, port={self.port})"  # a traceback must not show who we are


def named_kubeconfig(kubeconfig: str | None) -> str | None:
    """Return what is given, or what KUBECONFIG names, or the user's own file if there is one."""
    own = Path.home() / OWN
    return kubeconfig or os.environ.get("KUBECONFIG") or (str(own) if own.exists() else None)


def plain_access(kubeconfig: str | None, context: str | None) -> PlainAccess | None:
    """Return the access of this kubeconfig, or else of the usual places; None: only `read_access` can judge it."""
    try:
        if _names_a_proxy(os.environ):
            return None
        if named := named_kubeconfig(kubeconfig):
            return _of_file(Path(named), context)
        return _of_account(IN_CLUSTER, os.environ)
    except (OSError, ssl.SSLError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _names_a_proxy(environment: Mapping[str, str]) -> bool:
    """Whether the environment names a proxy, which a client is to say that it does not use."""
    names = (name for name in environment if name.lower().endswith("_proxy") and name.lower() != "no_proxy")
    return any(environment[name] for name in names)


def _of_account(folder: Path, environment: Mapping[str, str]) -> PlainAccess:
    """Raises OSError, ssl.SSLError, ValueError, KeyError: this is no pod with a service account."""
    host, port = environment["KUBERNETES_SERVICE_HOST"], environment["KUBERNETES_SERVICE_PORT"]
    tls = client_tls(HTTP1, authorities=str(folder / "ca.crt"))
    return PlainAccess(host, int(port), "", tls, host, _bearer((folder / "token").read_text().strip()))


def _of_file(path: Path, context: str | None) -> PlainAccess:
    """Raises OSError, ssl.SSLError, and what comes of a file that is not as it should be."""
    config = _decoded(path.read_text())
    chosen = context or current_context([config])
    if chosen is None or context_fault([config], chosen):
        raise ValueError("no such context")
    said = _entry(config, "context", chosen)
    cluster, user = _entry(config, "cluster", said["cluster"]), _entry(config, "user", said["user"])
    if cluster.keys() - _CLUSTER or user.keys() - _USER:
        raise ValueError("it says more than is plain")
    url = urlsplit(cluster["server"].rstrip("/"))
    if url.scheme != "https" or not url.hostname or "@" in url.netloc or not _is_plain(url.hostname + url.path):
        raise ValueError("no such URL")
    token = user.get("token")
    return PlainAccess(
        url.hostname,
        url.port or 443,
        url.path,
        _tls(cluster, user, path.absolute().parent),
        cluster.get("tls-server-name") or url.hostname,
        None if token is None else _bearer(token),
    )


def _decoded(text: str) -> Any:
    """Raises ValueError: it is neither JSON nor YAML."""
    if text.startswith("{"):
        return json.loads(text)
    import yaml  # imported late: kubectl writes YAML, other programs JSON, which is YAML too

    try:
        return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def _entry(config: Mapping[str, Any], sort: str, name: str) -> Mapping[str, Any]:
    """Return the one cluster, context or user of a name. Raises ValueError, LookupError, TypeError."""
    [found] = [entry[sort] for entry in config[f"{sort}s"] if entry["name"] == name]
    if not isinstance(found, dict):
        raise TypeError(f"{name} is no mapping")
    return found


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    """folder: of the kubeconfig, where the files lie that it names without one."""
    authorities = _content(cluster, "certificate-authority", folder)
    certificate, key = (_content(user, name, folder) for name in ("client-certificate", "client-key"))
    if (certificate is None) != (key is None):
        raise ValueError("a certificate without a key, or the other way round")
    if not isinstance(unverified := cluster.get("insecure-skip-tls-verify", False), bool):
        raise TypeError("neither true nor false")  # as a text, "false" would count as true
    with _in_memory(certificate) as certificate_file, _in_memory(key) as key_file:
        return client_tls(
            HTTP1,
            authorities_text=authorities.decode("ascii") if authorities is not None else None,
            certificate=certificate_file,
            key=key_file,
            verify=not unverified,
        )


def _content(said: Mapping[str, Any], name: str, folder: Path) -> bytes | None:
    """Return what a certificate or key holds that is given as data or as a file, as data first; None: neither."""
    if (data := said.get(f"{name}-data")) is not None:
        content = b64decode(data, validate=True)
    elif (file := said.get(name)) is not None:
        content = (folder / file).read_bytes()
    else:
        return None
    if not content:
        raise ValueError(f"{name} is empty")
    return content


@contextmanager
def _in_memory(content: bytes | None) -> Iterator[str | None]:
    """Yield the name of a file that holds this and is in memory alone: OpenSSL takes a client's key from files."""
    if content is None:
        yield None
        return
    descriptor = os.memfd_create("felixctl")
    try:
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _bearer(token: str) -> str:
    """Raises ValueError: the header would say something else."""
    if not token or not _is_plain(token):
        raise ValueError("a token of other signs")
    return f"Bearer {token}"


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
