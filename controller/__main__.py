"""`python -m controller`: the controller's process, from its settings to its end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from contextlib import AsyncExitStack
from functools import partial
from uuid import uuid4

import datastore
from controller.collecting import Collecting
from controller.configuration import OURS, enabled
from controller.configuration_keeper import ConfigurationKeeper
from controller.election import Candidate
from controller.fenced_store import FencedStore
from controller.leadership import Leadership
from controller.pages import ControllerPages
from controller.report import NO_WORK, Report
from controller.running_config import Running
from datastore.defaults import CONTROLLER_LEASE
from datastore.kube.pod_pages import PodPages
from datastore.kube.store import KubeStore
from datastore.url import has_namespaces
from felix_py import logs
from felix_py.configuration.settings import Settings, SettingsError, read_file, settings_from
from felix_py.pages.web import WebServer
from felix_py.tasks import reasons

log = logging.getLogger("felix.controller")

USAGE, FAILURE = 2, 1
CALICOS = "k8s-app=calico-kube-controllers"
"""The label of Calico's own, by its manifests and by its operator, whatever the namespace."""


def main() -> int:
    """Run the controller; return its exit code: 0 after SIGTERM, 1 if it cannot go on, 2 for a bad setting."""
    try:
        settings = settings_from(os.environ, read_file(os.environ.get("FELIX_CONFIG", "")))
    except SettingsError as error:
        print(f"{error}; the controller does not start", file=sys.stderr)
        return USAGE
    if not has_namespaces(settings.datastore):
        wanted = "on a file of SQLite each agent collects what leaked, and no controller is needed; use kubernetes://"
        print(
            f"setting FELIX_DATASTORE={settings.datastore!r}: {wanted}; the controller does not start", file=sys.stderr
        )
        return USAGE
    logging_to = logs.set_up(settings.log_level)
    try:
        asyncio.run(_run(settings, logging_to))
    except Exception as failure:
        for text, unforeseen in reasons(failure):
            log.critical("%s; the controller ends", text, exc_info=unforeseen)
        return FAILURE
    return 0


async def _run(settings: Settings, logging_to: logs.CountingHandler) -> None:
    """Run until SIGTERM or SIGINT."""
    work = asyncio.current_task()
    assert work is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    counting = asyncio.create_task(logging_to.run())
    try:
        await _serve(settings)
    except asyncio.CancelledError:
        log.info("ending as asked")
    finally:
        counting.cancel()


async def _serve(settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        store = datastore.open(settings.datastore)
        assert isinstance(store, KubeStore), "as its URL says"
        stack.push_async_callback(store.close)
        leadership = Leadership(store, Candidate(CONTROLLER_LEASE, settings.namespace, _identity(settings)))
        fenced = FencedStore(store, lambda: leadership.seconds_left)
        keeper = ConfigurationKeeper(fenced, _running(settings), partial(_rival, PodPages(store.client)))
        work: list[Collecting] = []  # while this process leads
        web = WebServer(ControllerPages(lambda: _report(leadership, work)).by_path())
        meanwhile = "probes fail and nothing is scraped, but the work goes on"
        await stack.enter_async_context(web.kept_on(settings.controller_host, settings.controller_port, meanwhile))

        async def lead() -> None:
            collecting = Collecting(
                fenced, grace_seconds=_grace(settings), hold_seconds=settings.loss_hold_seconds, keep=keeper.keep
            )
            work.append(collecting)
            try:
                await collecting.run()
            finally:
                work.clear()

        await leadership.run(lead)


def _identity(settings: Settings) -> str:
    """Return a name for this process alone: a pod is restarted under the same name."""
    return f"{settings.hostname or socket.gethostname()}_{uuid4()}"


def _grace(settings: Settings) -> float | None:
    """Return what the environment says of the grace period; None: nothing, and the cluster's configuration counts."""
    on, notices = enabled(os.environ)
    for notice in notices:
        log.warning("%s", notice)
    if not on:
        log.warning("ENABLED_CONTROLLERS has no %r in it: nothing is given back", OURS)
        return 0.0
    return settings.leak_grace_seconds if "leak_grace_seconds" in settings.model_fields_set else None


def _running(settings: Settings) -> Running:
    """Return what the status of the cluster's configuration says of this process."""
    collects, _ = enabled(os.environ)
    return Running.of(os.environ, collects=collects, port=settings.controller_port, log_level=str(settings.log_level))


async def _rival(pages: PodPages) -> str:
    """Return a pod of Calico's kube-controllers that has not ended, by its namespace and name; "": there is none."""
    pods = await pages.pods(None, CALICOS)
    return next((f"{pod.namespace}/{pod.name}" for pod in pods if pod.phase not in ("Succeeded", "Failed")), "")


def _report(leadership: Leadership, work: list[Collecting]) -> Report:
    done = work[0].work if work else NO_WORK
    return Report(leadership.leads, leadership.leader, leadership.heard_seconds_ago, done)


if __name__ == "__main__":
    sys.exit(main())
