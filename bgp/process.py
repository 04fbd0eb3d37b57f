"""The sidecar's process: it runs the sidecar, or has a running one withdraw everything and end."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import socket
import sys
from pathlib import Path

from bgp import logs
from bgp.exabgp_supervisor import ExaBGP
from bgp.health import serving
from bgp.options import HELP, Options
from bgp.options import options as read
from bgp.protocol import Hello, encode
from bgp.sidecar import Sidecar

log = logging.getLogger("bgp")

LEVEL = "FELIX_LOGSEVERITYSCREEN"  # the agent's setting too
COMPARE = "FELIX_BGPCOMPAREDECODERS"
SWITCH = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True),
    **dict.fromkeys(("", "false", "f", "no", "n", "off", "0"), False),
}
"""What a switch may be, as the agent reads it."""


def run() -> int:
    """Run the sidecar; return the process's exit code: 0 after SIGTERM, 1 if it cannot run, 2 for a bad setting.

    1 too where another release was installed meanwhile, which is to be started in its place.
    """
    try:
        options = read(sys.argv[1:])
    except ValueError as error:
        print(f"start the sidecar: {error}; see --help; it does not start", file=sys.stderr)
        return 2
    if options.help:
        print(HELP, end="")
        return 0
    text = os.environ.get(LEVEL, "").strip() or "info"
    level = logs.LEVELS.get(text.lower())
    if level is None:
        *most, last = logs.LEVELS
        return _refuse(LEVEL, text, f"{', '.join(most)} or {last}")
    compare = SWITCH.get(os.environ.get(COMPARE, "").strip().lower())
    if compare is None:
        return _refuse(COMPARE, os.environ[COMPARE], "true or false")
    logs.set_up(level)
    if options.leave:
        return _ask_to_leave(options.socket)
    options.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if options.state_dir.stat().st_uid == os.geteuid():  # else its owner has decided who comes in
        options.state_dir.chmod(0o700)  # a kubelet that makes it lets everybody in
    options.socket.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    # Only read: the file may be of a sidecar that ran as another user.
    with open(os.open(options.state_dir / "lock", os.O_RDONLY | os.O_CREAT, 0o644)) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(
                f"start the sidecar in {options.state_dir}: another sidecar runs with this directory; this one ends",
                file=sys.stderr,
            )
            return 1
        outdated = asyncio.run(_run(options, compare_decoders=compare))
    return 1 if outdated else 0


def _refuse(setting: str, text: str, allowed: str) -> int:
    print(f"setting {setting}={text!r}: not valid; use {allowed}; the sidecar does not start", file=sys.stderr)
    return 2


async def _run(options: Options, *, compare_decoders: bool) -> bool:
    """Serve until SIGTERM or SIGINT, which end the sessions silently: peers keep our routes for the restart time.

    Or until another release is installed by which alone ExaBGP can be started; return whether that was why. Meanwhile
    the agent keeps what was learned: running on, it would be withdrawn when its time as stale is over.
    """
    if compare_decoders:
        log.warning("%s is on: ExaBGP decodes each UPDATE too, and what differs is reported here", COMPARE)
    async with (
        serving(options.health_port),
        ExaBGP(options.state_dir, timeout_factor=options.timeout_factor, compare_decoders=compare_decoders) as exabgp,
    ):
        sidecar = Sidecar(exabgp, read_netstat=_read_netstat)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, sidecar.stop.set)
        ending = asyncio.create_task(_end_when_outdated(exabgp, sidecar))
        try:
            await sidecar.serve(options.socket)
        finally:
            ending.cancel()
        return exabgp.outdated.is_set()


async def _end_when_outdated(exabgp: ExaBGP, sidecar: Sidecar) -> None:
    await exabgp.outdated.wait()
    log.error("ExaBGP does not run, and this release can start none: the sidecar ends, to be started anew")
    sidecar.stop.set()


def _read_netstat() -> str:
    try:
        return Path("/proc/net/netstat").read_text()
    except OSError:
        return ""


def _ask_to_leave(socket_path: Path) -> int:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(socket_path))
            connection.sendall(encode(Hello("leave")))
            connection.recv(1)  # the sidecar closes when it has left
        except OSError as error:
            print(f"ask the sidecar on {socket_path} to leave: {error.strerror}; nothing done", file=sys.stderr)
            return 1
    return 0
