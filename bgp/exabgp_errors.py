"""Sentences made of what ExaBGP prints and of how it exits.

Pure: no I/O, no clock, no logging.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

LOAD_FAILED = "could not load/reload configuration"
UNKNOWN_RELEASE = 78  # the launcher's exit code where ExaBGP is not the release that it was written for
OTHER_VERSION = 79  # the launcher's, where it speaks another version with its sidecar
# Python's where the launcher's file is not there, and the launcher's where it does not know an argument of ours.
NOT_UNDERSTOOD = 2

# What ExaBGP prints after "could not listen on ADDRESS:PORT", by its first word.
_BIND_FAILURES = {
    "the": "address already in use, another BGP speaker runs here",
    "this": "this node does not have the address",
    "binding": "not permitted, ports below 1024 need CAP_NET_BIND_SERVICE",
}


def exit_cause(exit_code: int | None, stderr: Sequence[str]) -> tuple[str, bool]:
    """Return why a process ended that nothing here had ended, and whether the next one would end so again.

    exit_code: negative for a signal, as subprocess has it.
    """
    if found := other_release(exit_code, stderr):
        return found, True
    printed = "\n".join(stderr)
    if refused := re.search(r"could not listen on (\S+):(\d+), (.*?)\)?$", printed, re.MULTILINE):
        address, port, why = refused.groups()
        return f"listen on {address} port {port}: {_BIND_FAILURES.get(why.split()[0], why)}", True
    if LOAD_FAILED in printed:
        return f"it refuses its configuration: {stderr[-1]}", True
    if exit_code is not None and exit_code < 0:
        return f"it was ended by {signal.Signals(-exit_code).name}", False
    last = f", last stderr line: {stderr[-1]}" if stderr else ""
    return f"it ended with exit code {exit_code}{last}", exit_code == UNKNOWN_RELEASE


def other_release(exit_code: int | None, stderr: Sequence[str]) -> str | None:
    """Return why the launcher that is installed does not serve this sidecar; None: it ended of something else."""
    last = printable(stderr[-1]) if stderr else "it says no more"
    if exit_code == OTHER_VERSION:
        return last
    if exit_code == NOT_UNDERSTOOD:
        return (
            f"another release than the sidecar's is installed ({last}): restart the sidecar "
            "(systemctl restart felix-sidecar); ExaBGP is not started"
        )
    return None


def configuration_error(stderr: str) -> str:
    """Return the reason in what ExaBGP's check of a file printed, in one line and without a key that it may quote."""
    _, _, reason = stderr.rpartition("is not a valid config file:")
    lines = [printable(line.strip()) for line in (reason or stderr).splitlines() if line.strip()]
    return ", ".join(map(without_key, lines))


def without_key(line: str) -> str:
    """Return a line, or what is left of it where it quotes a password of the configuration."""
    return "md5-password …" if "md5-password" in line else line


def printable(text: str) -> str:
    """Return the text without what could drive a terminal: parts of it come from peers."""
    return "".join(character if character.isprintable() else "?" for character in text)
