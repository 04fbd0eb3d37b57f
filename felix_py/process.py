"""The agent's process, from its start to its end."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import datastore
from datastore.backoff import Backoff
from datastore.errors import Unavailable
from datastore.url import has_namespaces
from felix_py import gc_tuning, logs, thread_turns
from felix_py.agent import Agent
from felix_py.cni_network import given_network
from felix_py.configuration.settings import DEFAULT_FILE, Settings, read_file
from felix_py.configuration.settings_watch import SettingsWatch
from felix_py.duties import duties
from felix_py.host.autodetect import AutodetectionError
from felix_py.host.host_reading import HostReading
from felix_py.identity import Identity, StartupError
from felix_py.node.network_condition import NetworkCondition
from felix_py.pages.local_pages import LocalPages
from felix_py.pages.pages import StatusPages
from felix_py.pages.start_pages import STARTS, StartPages
from felix_py.pages.status_port import why_unserved
from felix_py.parts import Ground, ground_on, put_together
from felix_py.startup.single_instance import single_instance
from felix_py.startup.startup import start
from felix_py.tasks import begun_again, reasons
from kernel.path_watch import PathWatch

log = logging.getLogger("felix")

FAILURE = 1
MOST_DESCRIPTORS = 65536
PATIENCE_SECONDS = 0.9
"""With a datastore that says nothing: a container runtime hears within a second that it is to come again."""
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 1.0, 2.0
"""The last: a node is to serve again within ten seconds after an API server that was away."""


def run(settings: Settings, file: Mapping[str, str]) -> int:
    """Run the agent; return the process's exit code: 0 after SIGTERM, 1 if it cannot go on.

    file: what of the settings the file says.
    """
    named = os.environ.get("FELIX_CONFIG", "")
    watch = SettingsWatch(Path(named or DEFAULT_FILE), partial(read_file, named), file)
    logging_to = logs.set_up(settings.log_level)
    logs.name_no_callers()
    _raise_descriptor_limit()
    gc_tuning.apply()
    thread_turns.apply()
    try:
        asyncio.run(_until_asked_to_end(settings, watch, logging_to))
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


async def _until_asked_to_end(settings: Settings, file: SettingsWatch, logging_to: logs.CountingHandler) -> None:
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
    """Start up, put the agent together, and have it work until cancelled."""
    async with AsyncExitStack() as stack:
        stack.enter_context(single_instance(settings.run_dir))
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        watch = stack.enter_context(PathWatch())
        pages = LocalPages(settings, watch)
        await stack.enter_async_context(pages.served())
        store = datastore.open(settings.datastore, PATIENCE_SECONDS)
        stack.push_async_callback(store.close)
        ground = stack.enter_context(ground_on(store))
        identity, host = await _start(settings, ground, pages.start)
        given_network(settings, identity.node)  # a mistake in it ends the agent now, with one sentence
        parts = put_together(settings, ground, identity, watch)
        _log_settings(parts.agent)
        stack.enter_context(pages.showing(StatusPages(parts.reporter).by_path(), parts.server))
        async with _said_at_the_end(parts.condition), asyncio.TaskGroup() as tasks:
            tasks.create_task(parts.agent.run(host))
            for duty in duties(parts, host, file, pages.pace):
                tasks.create_task(begun_again(duty.title, duty.run))


async def _start(settings: Settings, ground: Ground, pages: StartPages) -> tuple[Identity, HostReading]:
    """Start up, waiting for a datastore that is away, which the pages say. What is wrong for good rises.

    Return who this node is, and the devices that say so.
    """
    backoff = Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
    waiting = "waiting for the API server: " if has_namespaces(settings.datastore) else "waiting for the datastore: "
    while True:
        try:
            host = HostReading(ground.kernel)
            identity = await start(settings, ground.store, host)
            await ground.allocator.adopt(identity.node)
            pages.waits_for = STARTS
            return identity, host
        except Unavailable as error:
            pages.waits_for, pause = f"{waiting}{error}", backoff.next()
            log.warning("start up: %s; next try in %.1f s", error, pause)
            await asyncio.sleep(pause)


def _log_settings(agent: Agent) -> None:
    """Log what of the settings is not obeyed."""
    settings = agent.settings
    unserved = () if has_namespaces(settings.datastore) else why_unserved(settings)
    agent.log_notices(agent.notices.put("settings", (*settings.notices, *unserved)))


@asynccontextmanager
async def _said_at_the_end(condition: NetworkCondition | None) -> AsyncIterator[None]:
    """Have the Node say so when the agent is asked to end."""
    try:
        yield
    except asyncio.CancelledError:
        if condition is not None:
            await condition.say_down()
        raise
