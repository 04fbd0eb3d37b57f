"""The agents of other nodes, asked through the Kubernetes API: without a shell in their pods or a way to the nodes.

An edge. Whoever asks is known to the API server already. It passes requests on to an agent's pod, and gives a token of
an account that may read the agents' pages and nothing else, which each of them has the API server confirm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import datastore
from datastore.errors import DatastoreError
from datastore.url import KubernetesApi
from felix_py.status_model import STATUS_AUDIENCE, STATUS_PORT, STATUS_ROOT, TOKEN_HEADER
from felixctl.connection import chosen
from felixctl.errors import MISUSED, CommandError
from felixctl.status_client import page_object

if TYPE_CHECKING:
    from datastore.kube.pod_pages import PodPages, ServingPod

T = TypeVar("T")

LABELS = "app.kubernetes.io/name=felix-py-node"
ACCOUNT = "felix-py-status"
PORT = "felix-py/status-port"
"""The annotation of an agent's pod that says where it serves its status."""
AT_ONCE = 64
"""Nodes that are asked at one time: HTTP/2 connections of API servers have room for 100 requests or more."""

OnProgress = Callable[[int, int], None]
"""Take how many nodes have been asked, of how many."""


class AgentPages(NamedTuple):
    """pages: what the agents sent, by node. unasked: why there is nothing of a node."""

    pages: dict[str, Mapping[str, Any]]
    unasked: dict[str, str]


class Agents:
    """Reads pages of agents, by node. Made by `agents_of`."""

    def __init__(self, pages: PodPages, namespace: str, run: Callable[[Awaitable[Any]], Any]) -> None:
        self._pages, self._namespace, self._run = pages, namespace, run
        self._token = ""

    def read_page(self, node: str, page: str) -> Mapping[str, Any]:
        """Return a page of a node's agent. Raises CommandError: it cannot be read, and why."""
        found: Mapping[str, Any] = self._run(self._read(node, page))
        return found

    def read_all(self, page: str, on_progress: OnProgress) -> AgentPages:
        """Return a page of every node's agent. Raises CommandError: it is not known which nodes there are."""
        found: AgentPages = self._run(self._read_all(page, on_progress))
        return found

    async def _read(self, node: str, page: str) -> Mapping[str, Any]:
        try:
            pods = await self._pages.pods(self._namespace, LABELS, node)
            return await self._ask(node, pods, page)
        except DatastoreError as error:
            raise CommandError(str(error)) from None

    async def _read_all(self, page: str, on_progress: OnProgress) -> AgentPages:
        try:
            nodes = await self._pages.nodes()
            pods: dict[str, list[ServingPod]] = {node: [] for node in nodes}
            for pod in await self._pages.pods(self._namespace, LABELS):
                if pod.node:
                    pods.setdefault(pod.node, []).append(pod)
            await self._shown_token()
        except DatastoreError as error:
            raise CommandError(str(error)) from None
        answers, places = AgentPages({}, {}), asyncio.Semaphore(AT_ONCE)

        async def ask(node: str) -> None:
            async with places:
                try:
                    answers.pages[node] = await self._ask(node, pods[node], page)
                except (DatastoreError, CommandError) as error:
                    answers.unasked[node] = str(error).removeprefix(f"{_what(node, page)}: ")
            on_progress(len(answers.pages) + len(answers.unasked), len(pods))

        async with asyncio.TaskGroup() as asking:
            for node in sorted(pods):
                asking.create_task(ask(node))
        return answers

    async def _ask(self, node: str, pods: Sequence[ServingPod], page: str) -> Mapping[str, Any]:
        """Raises CommandError: no agent can be asked. Raises DatastoreError: it was, and its page is not the answer."""
        what = _what(node, page)
        if (pod := serving(pods)) is None:
            raise CommandError(f"{what}: {why_none(pods, self._namespace)}")
        headers = {TOKEN_HEADER: await self._shown_token()}
        return page_object(what, await self._pages.get(what, pod, port_of(pod), STATUS_ROOT + page, headers))

    async def _shown_token(self) -> str:
        self._token = self._token or await self._pages.token(self._namespace, ACCOUNT, STATUS_AUDIENCE)
        return self._token


def _what(node: str, page: str) -> str:
    return f"read {page.partition('?')[0]} of the agent on {node}"


def serving(pods: Sequence[ServingPod]) -> ServingPod | None:
    """Return the agent's pod of a node: the newest that runs, since one may be on its way out; None: none does."""
    running = [pod for pod in pods if pod.phase == "Running" and pod.address and not pod.ends]
    return max(running, key=lambda pod: (pod.created, pod.name), default=None)


def why_none(pods: Sequence[ServingPod], namespace: str) -> str:
    if not pods:
        return (
            f"no agent of felix-py runs there: no pod with the label {LABELS} in namespace {namespace} is on that node"
        )
    states = ", ".join(f"{pod.name} ({'ending' if pod.ends else pod.phase or 'unknown'})" for pod in pods)
    return f"none of its pods runs: {states}"


def port_of(pod: ServingPod) -> int:
    """Return where an agent serves its status: as its pod says, else at the usual port."""
    said = pod.annotations.get(PORT, "")
    return int(said) if said.isascii() and said.isdigit() and 0 < int(said[:6]) < 1 << 16 else STATUS_PORT


@contextmanager
def agents_of(url: str, namespace: str, instead: str) -> Iterator[Agents]:
    """Yield the agents of a cluster, over one connection to its API server.

    instead: what can be done where there is none. Raises CommandError: the datastore is no Kubernetes API.
    """
    require_kubernetes(url, instead)
    from datastore.kube.pod_pages import PodPages
    from datastore.kube.store import KubeStore

    with asyncio.Runner() as runner:
        store = datastore.open(url)
        assert isinstance(store, KubeStore), "as its URL says"
        try:
            yield Agents(PodPages(store.client), namespace, lambda work: runner.run(_awaited(work)))
        finally:
            runner.run(store.close())


async def _awaited(work: Awaitable[T]) -> T:
    return await work


def require_kubernetes(url: str, instead: str) -> None:
    """Raises CommandError: other nodes' agents cannot be asked, or there is no such datastore."""
    if not isinstance(chosen(url), KubernetesApi):
        raise CommandError(
            f"other nodes' agents are asked through the Kubernetes API, and the datastore is {url}: {instead}", MISUSED
        )
