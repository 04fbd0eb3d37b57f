"""What the agent does all the while it runs, beside its loop: each is a task of its own, begun again when it fails.

An edge that waits for nothing. Some are there on Kubernetes only, others where the datastore is a file.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from datastore.url import has_namespaces
from felix_py.cluster.policy_watch import follow_policies
from felix_py.cni_service import serve_cni
from felix_py.configuration.settings_watch import SettingsWatch
from felix_py.edges import HostDevices
from felix_py.host.pod_names import prefixes
from felix_py.node.node_claim import this_host
from felix_py.node.node_events import NodeEvents
from felix_py.node.own_node import OwnNode
from felix_py.pace import Pace
from felix_py.packet_filter import forward_accept
from felix_py.packet_filter.kept_rules import KeptRules
from felix_py.packet_path.host_watch import HostWatch
from felix_py.pages.pages import StatusPages
from felix_py.pages.status_port import StatusPort, shown_pages
from felix_py.pages.web import WebServer
from felix_py.parts import Parts
from felix_py.startup.startup import host_interfaces, write_node
from ipam.collector import Collector
from kernel.nftables_foreign_writer import ForeignChainWriter
from kernel.nftables_table import Program


class Duty(NamedTuple):
    """title: of the task, for the log."""

    title: str
    run: Callable[[], Awaitable[None]]


def duties(parts: Parts, found: HostDevices, file: SettingsWatch, pace: Pace) -> Iterator[Duty]:
    """Yield them. found: the devices that there were at the start. pace: of whatever serves pages."""
    agent = parts.agent
    host = HostWatch(agent, agent.settings.cni_conf_dir)
    yield Duty("accepting the packets of pods", _forward_accept(parts, found).run)
    yield Duty("watching over the host", host.run)
    yield Duty("serving the container runtime", partial(serve_cni, parts, host.look))
    yield Duty("watching over the settings file", partial(file.run, agent, parts.watch))
    yield Duty("watching over the own Node", _own_node(parts).run)
    yield Duty("checking the invariants", partial(parts.checks.run_periodically, agent.settings.check_seconds))
    if has_namespaces(agent.settings.datastore):
        yield from _on_kubernetes(parts, pace)
    elif agent.settings.leak_grace_seconds:  # on Kubernetes the controller does it, once for all nodes
        yield Duty("collecting what leaked", _collector(parts).run)


def _on_kubernetes(parts: Parts, pace: Pace) -> Iterator[Duty]:
    agent, store = parts.agent, parts.ground.store
    assert parts.namespaces is not None and parts.condition is not None, "as the datastore's URL says"
    yield Duty("following the namespaces of pods", parts.namespaces.follow)
    policies = partial(follow_policies, store, agent.notices, agent.log_notices)
    yield Duty("watching the policies of Kubernetes", policies)
    yield Duty("writing Events about the own Node", NodeEvents(agent, parts.reporter.status).run)
    yield Duty("keeping the Node's condition", parts.condition.run)
    if agent.settings.status_port:
        yield Duty("serving the status to other machines", _status_port(parts, pace).run)


def _forward_accept(parts: Parts, found: HostDevices) -> KeptRules[Sequence[Program]]:
    settings = parts.agent.settings
    kept: KeptRules[Sequence[Program]] = KeptRules(
        forward_accept.TITLE,
        forward_accept.WITHOUT,
        partial(ForeignChainWriter, forward_accept.CHAINS, repair=settings.repair),
        needs_nftables=False,
    )
    begin = prefixes(found.links().values(), settings.interface_prefix)
    kept.apply(forward_accept.accepting(*begin) if settings.forward_accept else None)
    return kept


def _own_node(parts: Parts) -> OwnNode:
    settings, ground = parts.agent.settings, parts.ground

    async def write() -> None:
        await write_node(settings, ground.store, parts.agent.identity.node, host_interfaces(ground.kernel))

    return OwnNode(parts.agent, write, this_host(settings.state_dir), parts.own_node_changes)


def _collector(parts: Parts) -> Collector:
    agent = parts.agent
    return Collector(
        parts.ground.store,
        parts.ground.allocator,
        grace_seconds=agent.settings.leak_grace_seconds,
        paused=lambda: agent.progress.held_back,
        report=lambda found: agent.log_notices(agent.notices.put("collector", found)),
    )


def _status_port(parts: Parts, pace: Pace) -> StatusPort:
    from datastore.kube.reviews import AccessReviews
    from datastore.kube.store import KubeStore
    from felix_py.pages.status_access import StatusAccess

    store, agent = parts.ground.store, parts.agent
    assert isinstance(store, KubeStore), "as its URL says"
    shown = shown_pages(StatusPages(parts.reporter).by_path())
    access = StatusAccess(AccessReviews(store.client), shown)
    return StatusPort(
        agent, parts.own_node_changes, lambda: WebServer(shown, pace, access.refusal), agent.settings.status_port
    )
