"""Kubernetes' own NetworkPolicies: nothing here enforces them, and whoever relies on one is to know.

An edge. They have a watch of their own, so that an account without the right to read them costs the agent nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

from datastore.kinds.network_policy import KubernetesNetworkPolicy
from datastore.notices import Notice
from datastore.store import Store
from felix_py.notices.current_notices import CurrentNotices


async def follow_policies(store: Store, notices: CurrentNotices, log: Callable[[tuple[Notice, ...]], None]) -> None:
    """Keep a notice of each policy that there is, until cancelled. log: says those that are new."""
    async for event in store.watch(KubernetesNetworkPolicy):
        log(notices.fold(event))
