"""Answers the container runtime: from the moment that pods can be routed, and only then is it told of our network.

An edge: the order is the rule. The conflist, which makes a runtime call the node ready, comes last.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from cni.notes import Notes
from cni.self_test import why_no_device
from datastore.backoff import Backoff
from felix_py.agent import Agent
from felix_py.cni_network import CniNetwork
from felix_py.files import keep_text
from felix_py.parts import Parts
from felix_py.tasks import begun_again

log = logging.getLogger("felix.cni")

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 1.0, 10.0


async def serve_cni(parts: Parts, look_at_host: Callable[[], Awaitable[None]]) -> None:
    """Serve until cancelled. look_at_host: notes what of the host is in the way of pods. Raises OSError."""
    agent, server, verbs, watch = parts.agent, parts.server, parts.verbs, parts.watch
    await agent.ready()
    notes = Notes(agent.settings.state_dir)
    await server.start(partial(notes.take_up, verbs))
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(begun_again("keeping the plugin's socket", partial(server.keep, watch)))
            tasks.create_task(begun_again("keeping the folder of noted DELs", partial(notes.keep, watch)))
            named = partial(keep_text, watch, agent.settings.nodename_file, agent.identity.node)
            tasks.create_task(begun_again("keeping the file of the node's name", named))
            tasks.create_task(begun_again("cleaning up after pods", verbs.cleanup.run))
            tasks.create_task(begun_again("repeating releases", verbs.cleanup.run_repeated))
            writing = partial(verbs.endpoint_writer.run, server.wait_until_quiet_for)
            tasks.create_task(begun_again("writing on pods what addresses they have", writing))
            await _prove_that_pods_can_be_attached(agent, agent.settings.proc_sys)
            network = CniNetwork(agent.settings, agent)
            await network.install()
            await look_at_host()
            log.info("ready: pods may be attached")
            tasks.create_task(begun_again("watching over the network's list", partial(network.keep, watch)))
    finally:
        await server.stop()


async def _prove_that_pods_can_be_attached(agent: Agent, sysctls: Path) -> None:
    """Make a pod's device and remove it again, until it succeeds: without that the node is not ready.

    In a thread, as the kernel deletes devices of pods that have gone at the same time, one after the other.
    """
    backoff = Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
    while (why := await asyncio.to_thread(why_no_device, sysctls)) is not None:
        agent.progress.attach_refused, pause = why, backoff.next()
        log.error("make a pod's device, as a test: %s; next try in %.1f s", why, pause)
        await asyncio.sleep(pause)
    agent.progress.attach_refused = None
