"""Everything that is replaced in ExaBGP, guarded by its exact version and by the signature of what is replaced."""

from __future__ import annotations

from bgp.exabgp_launcher import (
    attribute_errors,
    commands,
    connecting,
    handing_on,
    host_name,
    monotonic_clock,
    reading,
    reloads,
    sidecar_pipes,
    visits,
)

VERSION = "5.0.15"


class UnknownReleaseError(Exception):
    """This ExaBGP is not the one that the replacements were written for."""


def patch(commands_descriptor: int, events_descriptor: int, *, compare: bool = False) -> None:
    """Make all replacements. Raises UnknownReleaseError before anything was replaced.

    compare: whether ExaBGP decodes those UPDATEs as well that the sidecar decodes.
    """
    from exabgp.bgp.message import Message  # noqa: F401  (its import order matters to ExaBGP)
    from exabgp.version import version

    if version != VERSION:
        raise UnknownReleaseError(f"patch ExaBGP {version}: the patches are written for {VERSION}; it is not started")
    replacements = [
        *visits.replacements(),
        *reloads.replacements(),
        *connecting.replacements(),
        *reading.replacements(),
        *commands.replacements(),
        *sidecar_pipes.replacements(commands_descriptor, events_descriptor),
        *host_name.replacements(),
        *monotonic_clock.replacements(),
        *handing_on.replacements(compare=compare),
        *attribute_errors.replacements(),
    ]
    for each in replacements:
        if mismatch := each.mismatch():
            raise UnknownReleaseError(f"{mismatch}; it is not started")
    for each in replacements:
        setattr(each.owner, each.name, each.replacement)
