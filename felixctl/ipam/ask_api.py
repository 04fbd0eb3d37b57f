"""What a check asks of an API server before it imports what understands the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datastore.errors import Invalid
from datastore.url import GROUPS, KubernetesApi, parse_url

if TYPE_CHECKING:  # TLS comes with it, and a file needs none
    from datastore.kube.asking import Asking


def ask_api(url: str, namespace: str) -> Asking | None:
    """Ask the API server that a URL names for everything that a check compares, and who acts for the cluster.

    namespace: where the controllers are. None: the URL names none, or one that only the store knows how to ask.
    """
    try:
        address = parse_url(url)
    except Invalid:
        return None
    if not isinstance(address, KubernetesApi) or address.group not in (None, GROUPS[0]):
        return None
    from datastore.kube import questions
    from datastore.kube.asking import Asking
    from datastore.kube.plain_access import plain_access

    access = plain_access(str(address.kubeconfig) if address.kubeconfig else None, address.context)
    if access is None:
        return None
    # Pods take longest. A consistent list waits for up to a tenth of a second, however short it is.
    return Asking(
        access,
        (questions.PODS,),
        (questions.HANDLE_TABLE,),
        (questions.BLOCKS, questions.AFFINITIES, questions.POOLS, questions.NODES, questions.lease(namespace)),
    )
