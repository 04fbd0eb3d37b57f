"""Serves the agent's status on this node's own addresses, to those on other machines who may read it.

An edge. Addresses come and go while the agent runs: it looks at which there are when the Node or the host changes. A
port that cannot be had is a notice, and tried again every few seconds.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Callable, Iterable

from datastore.kinds.node import Node
from datastore.notices import Notice
from felix_py.agent import Agent
from felix_py.configuration.settings import Settings
from felix_py.node.own_node_changes import OwnNodeChanges, rest
from felix_py.pages.web import PageMakers, WebServer
from felix_py.status_model import STATUS_ROOT
from net.prefix import unpack

log = logging.getLogger("felix.status")

LOOK_SECONDS = 2.0
SETTING = "FELIX_STATUSPORT"


class StatusPort:
    """One port on whichever addresses this node has."""

    def __init__(
        self,
        agent: Agent,
        changes: OwnNodeChanges,
        make_server: Callable[[], WebServer],
        port: int,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """make_server: of each address; its limits on connections are its own."""
        self._agent, self._changes, self._make_server, self._port = agent, changes, make_server, port
        self._look_seconds = look_seconds
        self._servers: dict[str, WebServer] = {}

    async def run(self) -> None:
        try:
            while True:
                changed = self._changes.next()
                served = await self.look()
                await asyncio.sleep(self._look_seconds)
                if served:
                    await rest(changed)
        finally:
            await self.close()

    async def close(self) -> None:
        await asyncio.gather(*(server.close() for server in self._servers.values()))
        self._servers.clear()

    async def look(self) -> bool:
        """Listen on the addresses that this node has now, and on no others; return whether all could be had."""
        wanted = own_addresses(self._agent)
        for gone in self._servers.keys() - wanted:
            await self._servers.pop(gone).close()
        problems = {}
        for address in wanted:
            if address not in self._servers:
                server = self._make_server()
                try:
                    await server.listen_tcp(address, self._port)
                except OSError as error:
                    problems[address] = error
                else:
                    self._servers[address] = server
                    log.info("status is served on %s port %d", address, self._port)
        # Behind a cloud's address translation a node has an address that is on none of its devices.
        counted = {a: e for a, e in problems.items() if e.errno != errno.EADDRNOTAVAIL or not self._servers}
        notices = [self._notice(address, error) for address, error in counted.items()]
        self._agent.log_notices(self._agent.notices.put("status port", notices))
        return not problems

    def _notice(self, address: str, error: OSError) -> Notice:
        reason = os.strerror(error.errno) if error.errno else str(error)
        return Notice(
            "Setting",
            SETTING,
            "",
            f"listen on {address} port {self._port}: {reason}",
            "felixctl on other machines gets no answer from this node; it is tried again",
        )


def own_addresses(agent: Agent) -> list[str]:
    """Return this node's addresses: those that Kubernetes knows, where its pods of the host's network are reached."""
    found = (unpack(address) for address in agent.peering.addresses() if address)
    return list(dict.fromkeys((*internal_addresses(agent.snapshot.nodes.get(agent.identity.node)), *found)))


def internal_addresses(node: Node | None) -> Iterable[str]:
    return map(str, node.internal_addresses) if node else ()


def shown_pages(by_path: PageMakers) -> PageMakers:
    """Return which of the agent's pages are shown over the network, by the paths that roles name."""
    return {f"{STATUS_ROOT}{path}": by_path[path] for path in ("/status", "/summary", "/routes", "/trace")}


def why_unserved(settings: Settings) -> tuple[Notice, ...]:
    """Return the notice of a port that was asked for where there is no Kubernetes to say who may read."""
    if not settings.status_port or "status_port" not in settings.model_fields_set:
        return ()
    reason = "without Kubernetes nobody can say who may read it"
    return (Notice("Setting", SETTING, "", reason, "the port is not served; felixctl asks the agent on its own node"),)
