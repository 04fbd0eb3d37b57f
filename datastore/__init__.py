"""The cluster's state and how it is stored: resources, selectors, and stores behind one set of verbs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datastore.store import Store


def open(url: str, patience_seconds: float | None = None) -> Store:
    """Return the store that a URL names (`datastore.url`); nothing is read before the first verb.

    `sqlite:///:memory:` is a store of this process's own, for tests.
    patience_seconds: for how long nothing at all may be heard of a server; None: as its store has it.
    Raises Invalid: the URL names no store.
    """
    from datastore.url import KubernetesApi, parse_url

    address = parse_url(url)
    if isinstance(address, KubernetesApi):
        from functools import partial

        from datastore.kube.access import read_access
        from datastore.kube.client import PATIENCE_SECONDS
        from datastore.kube.store import KubeStore

        kubeconfig = str(address.kubeconfig) if address.kubeconfig else None
        access = partial(read_access, kubeconfig, address.context)
        return KubeStore(access, PATIENCE_SECONDS if patience_seconds is None else patience_seconds, address.group)

    from datastore.sqlite import SqliteStore

    return SqliteStore(None if address.path is None else str(address.path))
