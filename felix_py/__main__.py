"""`python -m felix_py`: the agent's process, from its settings to its end."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path

import datastore
from bgp.client import SidecarClient
from cni.journal import Journal
from cni.known import Known
from cni.namespaces import Namespaces
from cni.notes import Notes
from cni.notices import network_notices, pod_notices
from cni.protocol import CniRequest
from cni.self_test import why_no_device
from cni.server import CniServer
from cni.settings import CniSettings
from cni.verbs import Verbs
from datastore.backoff import Backoff
from datastore.errors import Unavailable
from datastore.store import Store, WatchEvent
from datastore.url import has_namespaces
from felix_py import forward_accept, logs, node_table
from felix_py.agent import Agent
from felix_py.agent_status import AgentReporter
from felix_py.autodetect import AutodetectionError
from felix_py.checks import Checks
from felix_py.cni_network import CniNetwork, given_network
from felix_py.edges import Edges
from felix_py.forwarding import forward
from felix_py.gc_tuning import apply
from felix_py.host_watch import HostWatch
from felix_py.identity import Identity, StartupError
from felix_py.kept_rules import KeptRules
from felix_py.network_condition import NetworkCondition
from felix_py.node_claim import this_host
from felix_py.node_events import NodeEvents
from felix_py.own_node import OwnNode
from felix_py.pace import Pace
from felix_py.pages import PROBES, StatusPages
from felix_py.policy_watch import follow_policies
from felix_py.settings import Settings, SettingsError, read_file, settings_from
from felix_py.settings_watch import SettingsWatch
from felix_py.single_instance import single_instance
from felix_py.startup import host_interfaces, start, write_node
from felix_py.status_port import StatusPort, shown_pages, why_unserved
from felix_py.tasks import begun_again, reasons
from felix_py.tunnel_device import KernelTunnelDevice
from felix_py.web import WebServer
from ipam.allocator import Allocator
from ipam.collector import Collector
from ipam.tunnels import TunnelAddresses
from kernel.links import Devices
from kernel.nftables_foreign_writer import ForeignChainWriter
from kernel.nftables_table import Program
from kernel.nftables_writer import NftablesWriter
from kernel.rtnetlink import Rtnetlink

log = logging.getLogger("felix")

USAGE, FAILURE = 2, 1
MOST_DESCRIPTORS = 65536
PATIENCE_SECONDS = 0.9
"""With a datastore that says nothing: a container runtime hears within a second that it is to come again."""
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 1.0, 10.0


def main() -> int:
    """Run the agent; return the process's exit code: 0 after SIGTERM, 1 if it cannot go on, 2 for a bad setting."""
    try:
        file = SettingsWatch(partial(read_file, os.environ.get("FELIX_CONFIG", "")))
        settings = settings_from(os.environ, file.begun_with)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return USAGE
    logging_to = logs.set_up(settings.log_level)
    _raise_descriptor_limit()
    apply()
    try:
        asyncio.run(_run(settings, file, logging_to))
    except (StartupError, AutodetectionError) as error:
        log.critical("%s; the agent ends", error)
        return FAILURE
    except Exception as failure:
        for text, unforeseen in reasons(failure):
            log.critical("%s; the agent ends", text, exc_info=unforeseen)
        return FAILURE
    return 0


def _raise_descriptor_limit() -> None:
    """Allow as many descriptors as the host lets us have. The soft limit is for programs that use select."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _run(settings: Settings, file: SettingsWatch, logging_to: logs.CountingHandler) -> None:
    """Run until SIGTERM or SIGINT. Routes stay in the kernel: running pods do not notice."""
    work = asyncio.current_task()
    assert work is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    try:
        counting = asyncio.create_task(logging_to.run())
        await _serve(settings, file)
        counting.cancel()
    except asyncio.CancelledError:
        log.info("ending as asked; routes stay as they are")


async def _serve(settings: Settings, file: SettingsWatch) -> None:
    async with AsyncExitStack() as stack:
        stack.enter_context(single_instance(settings.run_dir))
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        store = datastore.open(settings.datastore, PATIENCE_SECONDS)
        stack.push_async_callback(store.close)
        kernel = stack.enter_context(closing(Rtnetlink()))
        allocator = Allocator(store)
        identity = await _start(settings, store, kernel, allocator)
        given_network(settings, identity.node)  # a mistake in it ends the agent now, with one sentence
        sidecar = SidecarClient(settings.run_dir / "bgp.sock")
        tunnel = KernelTunnelDevice(
            TunnelAddresses(store, allocator, identity.node, of_pod_cidrs=settings.use_pod_cidr),
            stack.enter_context(closing(Devices())),
        )
        table = KeptRules(
            node_table.TITLE, node_table.WITHOUT, partial(NftablesWriter, node_table.TABLE), repair=settings.repair
        )
        known = Known(identity.node)
        agent = Agent(
            settings,
            identity,
            Edges(
                store,
                kernel,
                sidecar,
                tunnel,
                table,
                observe=partial(_observe, allocator, known),
                avoid=allocator.avoid,
                log_from=_keep_log_level if "log_level" in settings.model_fields_set else logs.set_level,
                forward=partial(forward, pod_prefix=settings.interface_prefix, root=settings.proc_sys),
                take_up=lambda: verbs.unwritten.take_up(),
            ),
        )
        on_kubernetes = has_namespaces(settings.datastore)
        unserved = () if on_kubernetes else why_unserved(settings)
        agent.log_notices(agent.notices.put("settings", (*settings.notices, *unserved)))
        journal, notes = Journal(settings.state_dir / "released.journal"), Notes(settings.state_dir)
        namespaces = Namespaces(store) if on_kubernetes else None
        verbs = Verbs(
            CniSettings(identity.node, settings.interface_prefix, settings.proc_sys),
            store,
            allocator,
            agent,
            journal,
            pod_mtu=agent.pod_mtu,
            inability=lambda: agent.progress.attach_refused,
            limitation=agent.peering.limitation,
            observe=partial(_report_unobeyed, agent),
            namespaces=namespaces,
            known=known,
            held_back=lambda: agent.progress.held_back,
            plugins=settings.cni_bin_dir,
        )
        checks = Checks(agent, verbs.pending_handles)
        server = CniServer(settings.run_dir / "cni.sock", verbs)
        reporter = AgentReporter(agent, sidecar.status, checks)
        pages = StatusPages(reporter)
        pace = Pace(server)
        probes = {path: pages.by_path()[path] for path in PROBES}
        await stack.enter_async_context(_web(settings, WebServer(pages.by_path(), pace), WebServer(probes, pace)))
        condition = NetworkCondition(agent, lambda: reporter.progress().ready) if on_kubernetes else None
        async with _said_at_the_end(condition), asyncio.TaskGroup() as tasks:
            tasks.create_task(agent.run())
            tasks.create_task(begun_again("accepting the packets of pods", _forward_accept(settings).run))
            if namespaces is not None:
                tasks.create_task(begun_again("following the namespaces of pods", namespaces.follow))
            watch = HostWatch(agent, settings.cni_conf_dir)
            tasks.create_task(begun_again("watching over the host", watch.run))
            serving = partial(_serve_cni, settings, agent, server, verbs, notes, watch)
            tasks.create_task(begun_again("serving the container runtime", serving))
            tasks.create_task(begun_again("watching over the settings file", partial(file.run, agent)))
            host = this_host(settings.state_dir)
            own_node = OwnNode(agent, partial(_write_node, settings, store, kernel, identity.node), host)
            tasks.create_task(begun_again("watching over the own Node", own_node.run))
            if on_kubernetes:
                policies = partial(follow_policies, store, agent.notices, agent.log_notices)
                tasks.create_task(begun_again("watching the policies of Kubernetes", policies))
                events = NodeEvents(agent, reporter.status)
                tasks.create_task(begun_again("writing Events about the own Node", events.run))
                if settings.status_port:
                    port = _status_port(settings, agent, store, pages, pace)
                    tasks.create_task(begun_again("serving the status to other machines", port.run))
            if condition is not None:
                tasks.create_task(begun_again("keeping the Node's condition", condition.run))
            checking = partial(checks.run_periodically, settings.check_seconds)
            tasks.create_task(begun_again("checking the invariants", checking))
            if settings.leak_grace_seconds and not on_kubernetes:  # there the controller does it, once for all nodes
                collector = Collector(
                    store,
                    allocator,
                    grace_seconds=settings.leak_grace_seconds,
                    paused=lambda: agent.progress.held_back,
                    report=lambda found: agent.log_notices(agent.notices.put("collector", found)),
                )
                tasks.create_task(begun_again("collecting what leaked", collector.run))


def _forward_accept(settings: Settings) -> KeptRules[Sequence[Program]]:
    kept: KeptRules[Sequence[Program]] = KeptRules(
        forward_accept.TITLE,
        forward_accept.WITHOUT,
        partial(ForeignChainWriter, forward_accept.CHAINS),
        repair=settings.repair,
        needs_nftables=False,
    )
    kept.apply(forward_accept.accepting(settings.interface_prefix) if settings.forward_accept else None)
    return kept


@asynccontextmanager
async def _said_at_the_end(condition: NetworkCondition | None) -> AsyncIterator[None]:
    """Have the Node say so when the agent is asked to end."""
    try:
        yield
    except asyncio.CancelledError:
        if condition is not None:
            await condition.say_down()
        raise


def _observe(allocator: Allocator, known: Known, event: WatchEvent) -> None:
    """Have what pods wait for answered from the agent's watch."""
    allocator.on_event(event)
    known.observe(event)


def _keep_log_level(level: str) -> None:
    """Leave the level as this node's settings have it, whatever the cluster's say, as Felix does."""


async def _write_node(settings: Settings, store: Store, kernel: Rtnetlink, name: str) -> None:
    await write_node(settings, store, name, host_interfaces(kernel))


def _report_unobeyed(agent: Agent, request: CniRequest) -> None:
    """Log what a network's configuration or a pod's annotations hold that is not obeyed."""
    network = request.network
    agent.log_notices(agent.notices.put(f"network {network.name}", network_notices(network)))
    agent.log_notices(pod_notices(request))


async def _start(settings: Settings, store: Store, kernel: Rtnetlink, allocator: Allocator) -> Identity:
    """Start up, waiting for a datastore that is away. What is wrong for good rises."""
    backoff = Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
    while True:
        try:
            identity = await start(settings, store, kernel)
            await allocator.adopt(identity.node)
            return identity
        except Unavailable as error:
            pause = backoff.next()
            log.warning("start up: %s; next try in %.1f s", error, pause)
            await asyncio.sleep(pause)


async def _serve_cni(
    settings: Settings, agent: Agent, server: CniServer, verbs: Verbs, notes: Notes, watch: HostWatch
) -> None:
    """Answer the container runtime from the moment that pods can be routed; only then install the conflist."""
    await agent.ready()
    await server.start(partial(notes.carry_out, verbs))
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(begun_again("cleaning up after pods", verbs.cleanup.run))
            writing = partial(verbs.endpoint_writer.run, server.wait_until_quiet)
            tasks.create_task(begun_again("writing on pods what addresses they have", writing))
            await _prove_that_pods_can_be_attached(agent, settings.proc_sys)
            network = CniNetwork(settings, agent)
            await network.install()
            await watch.look()
            log.info("ready: pods may be attached")
            tasks.create_task(begun_again("watching over the network's list", network.keep))
    finally:
        await server.stop()


async def _prove_that_pods_can_be_attached(agent: Agent, sysctls: Path) -> None:
    """Make a pod's device and remove it again, until it succeeds: without that the node is not ready."""
    backoff = Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
    while (why := why_no_device(sysctls)) is not None:
        agent.progress.attach_refused, pause = why, backoff.next()
        log.error("make a pod's device, as a test: %s; next try in %.1f s", why, pause)
        await asyncio.sleep(pause)
    agent.progress.attach_refused = None


def _status_port(settings: Settings, agent: Agent, store: Store, pages: StatusPages, pace: Pace) -> StatusPort:
    from datastore.kube.reviews import AccessReviews
    from datastore.kube.store import KubeStore
    from felix_py.status_access import StatusAccess

    assert isinstance(store, KubeStore), "as its URL says"
    shown = shown_pages(pages.by_path())
    access = StatusAccess(AccessReviews(store.client), shown)
    return StatusPort(agent, lambda: WebServer(shown, pace, access.refusal), settings.status_port)


@asynccontextmanager
async def _web(settings: Settings, whole: WebServer, probes: WebServer) -> AsyncIterator[None]:
    """Serve `whole` on the socket, whose mode says who may read it, and `probes` on the port of health."""
    await whole.listen_unix(settings.run_dir / "status.sock", settings.status_mode)
    listening = asyncio.create_task(_listen(settings, probes))
    try:
        yield
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await asyncio.gather(whole.close(), probes.close())


async def _listen(settings: Settings, server: WebServer) -> None:
    """Serve probes and scrapers as soon as the port can be had: a calico-node on its way out may still have it."""
    backoff = Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
    while settings.health_port:
        try:
            await server.listen_tcp(settings.health_host, settings.health_port)
            break
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            where, pause = f"{settings.health_host} port {settings.health_port}", backoff.next()
            log.warning("serve health on %s: %s; only the socket serves it; next try in %.1f s", where, reason, pause)
            await asyncio.sleep(pause)


if __name__ == "__main__":
    sys.exit(main())
