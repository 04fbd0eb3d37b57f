"""ExaBGP's program: `python -I .../exabgp_launcher/__main__.py --protocol 1 --commands 5 --events 6 exabgp.conf`.

Another release than the replacements are written for is not started: the program ends with UNKNOWN_RELEASE and a
sentence on stderr. Nor is anything done for a sidecar that speaks another version than `--protocol` says. `--validate`
only reads a configuration and ends.

It may be started before there is a configuration. It waits until its standard input ends: with the settings of ExaBGP
that come with the configuration, one a line, or without any, as there will be none.
"""

from __future__ import annotations

import _ctypes
import os
import signal
import sys
from types import SimpleNamespace
from typing import NoReturn

if __name__ == "__main__":
    # -I keeps out what a user's folder and environment hold; the folder that this file is installed in is not among it.
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from bgp.exabgp_launcher.left_out import leave_out

    leave_out()

from bgp.exabgp_launcher.arguments import arguments
from bgp.exabgp_launcher.host_name import set_host_name
from bgp.exabgp_launcher.protocol_version import end_for_another_version
from bgp.exabgp_launcher.replacements import UnknownReleaseError, patch

UNKNOWN_RELEASE, NOT_UNDERSTOOD = 78, 2  # exit codes, known to bgp/exabgp_errors.py

OPTIONS = ("verbose", "debug", "signal", "once", "pdb", "passive", "memory", "profile")
"""Those of `exabgp server`, of which none is given."""

PARENT_DEATH_SIGNAL = 1  # prctl(2)


def main() -> NoReturn:
    try:
        end_for_another_version(sys.argv[1:])
        given = arguments(sys.argv[1:])
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(NOT_UNDERSTOOD)
    die_with_parent()
    set_host_name()
    if given.validate:
        validate(given.configuration)
    try:
        patch(given.commands, given.events, compare=given.compare)
    except UnknownReleaseError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(UNKNOWN_RELEASE)
    run_exabgp(given.configuration)


def validate(configuration: str) -> NoReturn:
    """Do what `exabgp validate -n` does, without loading ExaBGP's other commands: a quarter of what a check costs."""
    from exabgp.application import validate as command

    command.cmdline(
        SimpleNamespace(configuration=[configuration], neighbor=True, route=False, verbose=False, pdb=False)
    )
    sys.exit(0)


def run_exabgp(configuration: str) -> NoReturn:
    """Do what `exabgp server` does, without loading ExaBGP's other commands, once there is a configuration."""
    from exabgp.application import server  # what takes longest of a start does not wait

    os.environ.update(settings_given())
    sys.argv = ["exabgp", configuration]
    server.cmdline(SimpleNamespace(configuration=[configuration], **dict.fromkeys(OPTIONS)))
    sys.exit(0)


def settings_given() -> dict[str, str]:
    """Wait for ExaBGP's settings; end this process where none come."""
    settings = dict(line.split("=", 1) for line in sys.stdin.read().splitlines())
    if not settings:
        sys.exit(0)
    return settings


def die_with_parent() -> None:
    """Have the kernel end this process with its supervisor, so that the BGP port is free for the next one."""
    parent = os.getppid()
    # As ctypes calls it, which takes 0.2 MB.
    prctl = _ctypes.dlsym(_ctypes.dlopen("", os.RTLD_NOW), "prctl")
    _ctypes.call_function(prctl, (PARENT_DEATH_SIGNAL, int(signal.SIGKILL)))
    if os.getppid() != parent:
        sys.exit(0)


if __name__ == "__main__":
    main()
