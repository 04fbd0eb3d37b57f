"""What of a network's configuration and of the annotations of pods and Namespaces is not obeyed.

Pure: no I/O, no clock, no logging. Of a pod it is told with the ADD that asks for it, of a Namespace when the watch
reports it.
"""

from __future__ import annotations

from collections.abc import Callable

from cni.network_config import NetworkConfig
from cni.notices import namespace_notices, network_notices, pod_notices
from cni.request import CniRequest
from datastore.kinds.namespace import Namespace
from datastore.notices import Notice
from datastore.store import Changed, Gone, WatchEvent
from felix_py.notices.current_notices import CurrentNotices


class RequestNotices:
    """Looks at each request. What pods have in common, their network's configuration, is looked at when it changes."""

    def __init__(self, current: CurrentNotices, tell: Callable[[tuple[Notice, ...]], None]) -> None:
        """tell: is given what is new."""
        self._current, self._tell = current, tell
        self._network: NetworkConfig | None = None

    def observe(self, request: CniRequest) -> None:
        network = request.network
        if network is not self._network:  # calls with the same configuration share it
            self._network = network
            self._tell(self._current.put(f"network {network.name}", network_notices(network)))
        self._tell(pod_notices(request))

    def fold(self, event: WatchEvent) -> None:
        """Take in an event of the watch of Namespaces. One that cannot be read is as it was."""
        match event:
            case Changed(resource=Namespace() as namespace):
                self._tell(self._current.put(f"Namespace {namespace.name}", namespace_notices(namespace)))
            case Gone():
                self._current.put(f"Namespace {event.name}", ())
