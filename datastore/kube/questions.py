"""What is asked of an API server for a look at all addresses, as paths: of each kind a list in one piece.

Pure, and of the standard library only: it is asked before anything is imported that understands the answers. A test
compares the paths with those of `datastore.kube.paths`, which the kinds are imported for.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from datastore.defaults import CONTROLLER_LEASE
from datastore.kube.list_message import MEDIA_TYPE

_JSON = "application/json"
TABLE = f"{_JSON};as=Table;g=meta.k8s.io;v=v1,{_JSON}"
"""What is accepted by who asks for a table. With `includeObject=None` nothing of the objects themselves is sent."""

_CALICOS = "/apis/crd.projectcalico.org/v1"


class Question(NamedTuple):
    path: str
    accept: str = _JSON
    statuses: frozenset[int] = frozenset((200,))
    """Those of an answer that is one."""


PODS = Question("/api/v1/pods", MEDIA_TYPE)
NODES = Question("/api/v1/nodes")
HANDLES = Question(f"{_CALICOS}/ipamhandles")
HANDLE_TABLE = Question(f"{HANDLES.path}?includeObject=None", TABLE)
"""It has all that is wanted where the definition of handles is ours."""
BLOCKS = Question(f"{_CALICOS}/ipamblocks")
AFFINITIES = Question(f"{_CALICOS}/blockaffinities")
POOLS = Question(f"{_CALICOS}/ippools")


def lease(namespace: str) -> Question:
    """Return what asks for the Lease of the controllers, which there may be none of, and not all may read."""
    within = f"/apis/coordination.k8s.io/v1/namespaces/{quote(namespace, safe='')}/leases"
    return Question(f"{within}/{CONTROLLER_LEASE}", statuses=frozenset((200, 403, 404)))
