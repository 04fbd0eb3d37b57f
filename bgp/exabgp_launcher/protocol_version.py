"""Which version this release speaks of what passes between a sidecar and the ExaBGP that it starts.

A sidecar that runs on while another release is installed starts that one's launcher, and neither may guess at what the
other means.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bgp.exabgp_launcher.arguments import number

VERSION = 3
"""Raised with every change of the launcher's arguments and input, of exabgp.conf, of ExaBGP's settings, of the
commands, and of the lines that come back; so with another ExaBGP."""

OTHER_VERSION = 79  # exit code, known to bgp/exabgp_errors.py
LASTS = 78  # the one by which a sidecar that does not say its version tells its agent the last line on stderr


def end_for_another_version(arguments: Sequence[str]) -> None:
    """End this process, with a sentence on stderr, unless the sidecar that has started it speaks this version.

    It takes notice of one argument only: those of another version may be others, and mean something else.
    """
    version = number(arguments, "--protocol", None)
    if version == VERSION:
        return
    named = "a version before 1" if version is None else f"version {version}"
    sys.stderr.write(
        f"the sidecar speaks {named} of what passes between it and ExaBGP, what is installed version {VERSION}: "
        "restart the sidecar, which is of another release (systemctl restart felix-sidecar); ExaBGP is not started\n"
    )
    sys.exit(LASTS if version is None else OTHER_VERSION)
