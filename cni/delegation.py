"""Has `host-local` give a pod's addresses, take them back and look after them.

An edge: it runs the plugin's executable, from the folder that the agent was told of and from no other: a folder that a
caller names (CNI_PATH) may be another one in the agent's container, and root runs what is in it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from cni.addresses import Address
from cni.attachment import describe
from cni.errors import CniError, Code
from cni.host_local import HOST_LOCAL, addresses_given, with_pod_cidrs
from cni.known import Known
from cni.request import CniRequest, Verb
from datastore.cas import found_or_none
from datastore.errors import DatastoreError
from datastore.fields import Network
from datastore.kinds.node import Node
from datastore.store import Store

log = logging.getLogger("cni.delegation")

ANSWER_SECONDS: Final = 20.0
"""How long the plugin may take: it waits for its own lock, and reads a file for each address that is in use."""


class Delegation:
    """The plugin, for one node. known: what the agent's watch holds."""

    def __init__(self, folder: Path, store: Store, node: str, known: Known, seconds: float = ANSWER_SECONDS) -> None:
        self._path, self._store, self._node, self._known = folder / HOST_LOCAL, store, node, known
        self._seconds = seconds

    async def add(self, request: CniRequest, netns: int) -> tuple[Address, ...]:
        """Return the addresses that a pod gets, primary first. Raises CniError, DatastoreError; it has none then."""
        document = with_pod_cidrs(request, self._node, await self._pod_cidrs())
        try:
            answer = await self._run("ADD", request, document, netns)
        except CniError as refusal:
            # It refuses a container that has an address: of an ADD that was killed, or that lost its device since.
            if await self.delete(request) is not None:
                raise
            log.info("%s; what it had of this container was given back; it is asked again", refusal)
            answer = await self._run("ADD", request, document, netns)
        try:
            addresses = addresses_given(answer)
            self._require_unused(request, addresses)
        except (ValueError, KeyError, TypeError) as error:
            await self.delete(request)
            raise CniError(Code.IO_FAILURE, f"ADD {_described(request)}: {self._path}: {error}") from None
        return addresses

    async def delete(self, request: CniRequest) -> CniError | None:
        """Have what a container has given back, if it has any; return why that was not done."""
        try:
            pod_cidrs = await self._pod_cidrs()
        except DatastoreError:
            pod_cidrs = ()
        try:
            await self._run("DEL", request, with_pod_cidrs(replace(request, verb="DEL"), self._node, pod_cidrs))
        except CniError as error:
            return error
        return None

    async def check(self, request: CniRequest, netns: int) -> None:
        """Raises CniError: it has no address for this container."""
        document = with_pod_cidrs(request, self._node, await self._pod_cidrs())
        await self._run("CHECK", request, document, netns)

    async def _pod_cidrs(self) -> tuple[Network, ...]:
        node = self._known.node or await found_or_none(self._store.get(Node, self._node))
        return node.pod_cidrs if node is not None else ()

    def _require_unused(self, request: CniRequest, addresses: tuple[Address, ...]) -> None:
        """Raises ValueError: the plugin gave what another pod has, as it does when its files were lost."""
        if held := self._known.held_by_others(request.pod, addresses):
            raise ValueError(
                f"it gave {held}; what it knows of network {request.network.name} (/var/lib/cni/networks, unless "
                "ipam.dataDir says otherwise) must outlive the agent's container; nothing was attached, and the next "
                "try gets another"
            )

    async def _run(
        self, verb: Verb, request: CniRequest, document: Mapping[str, Any], netns: int | None = None
    ) -> dict[str, Any]:
        """Run the plugin once; return its answer, empty where there is none. Raises CniError: with its code."""
        tried = f"{verb} {_described(request)}: run {self._path}"
        try:
            process = await asyncio.create_subprocess_exec(
                self._path,
                env=self._environment(verb, request, netns),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise CniError(
                Code.IO_FAILURE,
                f"{tried}: {error.strerror}; ipam.type {HOST_LOCAL} needs that plugin in FELIX_CNIBINDIR, in a "
                "container a folder of its host's",
            ) from None
        try:
            async with asyncio.timeout(self._seconds):
                out, complaints = await process.communicate(json.dumps(document).encode())
        except TimeoutError:
            raise CniError(Code.TRY_AGAIN, f"{tried}: no answer within {self._seconds:g} s; try again later") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        answer = _decoded(out)
        if process.returncode == 0:
            return answer
        match answer:
            case {"code": int(code), "msg": str(message)}:
                raise CniError(code, f"{tried}: {message}", str(answer.get("details") or ""))
            case _:
                said = (out + complaints).decode(errors="replace").strip()[-200:]
                raise CniError(Code.IO_FAILURE, f"{tried}: it ended with status {process.returncode}: {said!r}")

    def _environment(self, verb: Verb, request: CniRequest, netns: int | None) -> dict[str, str]:
        attachment = request.attachment
        given = {
            "CNI_COMMAND": verb,
            "CNI_CONTAINERID": attachment.container_id,
            "CNI_IFNAME": attachment.device,
            # The runtime's path of the namespace need not be there for the agent, which has it open.
            "CNI_NETNS": "" if netns is None else f"/proc/{os.getpid()}/fd/{netns}",
            "CNI_ARGS": ";".join(f"{key}={value}" for key, value in (request.args or {}).items()),
            "CNI_PATH": str(self._path.parent),
            "PATH": os.environ.get("PATH", ""),
        }
        return given | ({"CNI_NETNS_OVERRIDE": "1"} if request.may_be_host else {})


def _described(request: CniRequest) -> str:
    return describe(request.attachment, request.pod)


def _decoded(out: bytes) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        found = json.loads(out or b"{}")
        if isinstance(found, dict):
            return found
    return {}
