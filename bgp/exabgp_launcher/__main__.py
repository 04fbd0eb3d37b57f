"""ExaBGP's program: `python -I .../exabgp_launcher/__main__.py --protocol 1 --commands 5 --events 6 exabgp.conf`.

Another release than the replacements are written for is not started: the program ends with UNKNOWN_RELEASE and a
sentence on stderr. Nor is anything done for a sidecar that speaks another version than `--protocol` says. `--validate`
only reads a configuration and ends.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
from types import ModuleType
from typing import NoReturn

if __name__ == "__main__":
    # -I keeps out what a user's folder and environment hold; the folder that this file is installed in is not among it.
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    # ExaBGP imports them and, with commands.run_commands and nobody who debugs it, uses nothing of them: 2 MB.
    sys.modules["asyncio"] = ModuleType("asyncio")
    sys.modules["pdb"] = ModuleType("pdb")

from bgp.exabgp_launcher.host_name import set_host_name
from bgp.exabgp_launcher.protocol_version import end_for_another_version
from bgp.exabgp_launcher.replacements import UnknownReleaseError, patch

UNKNOWN_RELEASE = 78  # exit code, known to bgp/exabgp_errors.py

PARENT_DEATH_SIGNAL = 1  # prctl(2)


def main() -> NoReturn:
    end_for_another_version(sys.argv[1:])
    parser = argparse.ArgumentParser(description="Run ExaBGP with felix-py's patches.")
    parser.add_argument("--protocol", type=int, help="the version that the sidecar speaks")
    parser.add_argument("configuration")
    parser.add_argument("--commands", type=int, help="descriptor ExaBGP reads commands from")
    parser.add_argument("--events", type=int, help="descriptor ExaBGP writes answers and events to")
    parser.add_argument("--compare", action="store_true", help="decode also what the sidecar decodes")
    parser.add_argument("--validate", action="store_true", help="read the configuration and end")
    options = parser.parse_args()
    die_with_parent()
    set_host_name()
    if options.validate:
        validate(options.configuration)
    try:
        patch(options.commands, options.events, compare=options.compare)
    except UnknownReleaseError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(UNKNOWN_RELEASE)
    run_exabgp(options.configuration)


def validate(configuration: str) -> NoReturn:
    """Do what `exabgp validate -n` does, without loading ExaBGP's other commands: a quarter of what a check costs."""
    from exabgp.application import validate as command

    command.cmdline(
        argparse.Namespace(configuration=[configuration], neighbor=True, route=False, verbose=False, pdb=False)
    )
    sys.exit(0)


def run_exabgp(configuration: str) -> NoReturn:
    """Do what `exabgp server` does, without loading ExaBGP's other commands."""
    from exabgp.application import server

    sys.argv = ["exabgp", configuration]
    server.main()
    sys.exit(0)


def die_with_parent() -> None:
    """Have the kernel end this process with its supervisor, so that the BGP port is free for the next one."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)


if __name__ == "__main__":
    main()
