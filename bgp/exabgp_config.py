"""A Speaker as ExaBGP's configuration file and environment.

Pure. No templates: a value in a template would win over the same one in a neighbour that inherits it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

from bgp.speaker import Neighbour, Speaker
from net.prefix import unpack

PROCESS = "agent"
LONGEST_RESTART_SECONDS = 4095  # twelve bits on the wire; ExaBGP would send the rest of a longer one
LONGEST_KEY_BYTES = 80  # TCP_MD5SIG_MAXKEYLEN
GTSM_TTL = 255


class ConfigError(ValueError):
    """A sentence: what of the speaker cannot be rendered, and why."""


def render(speaker: Speaker) -> str:
    """Return the text of exabgp.conf. It holds the passwords, so its file is to be readable by its owner only.

    Raises ConfigError: a value that ExaBGP's own check would let pass, and then misread.
    """
    # ExaBGP demands a program that exists; the launcher replaces what would start it (use_pipes).
    sections = [f"process {PROCESS} {{", "    run /bin/sh;", "    encoder json;", "}"]
    for neighbour in sorted(speaker.neighbours, key=lambda each: each.address):
        sections += [
            f"neighbor {neighbour.address} {{",
            *(f"    {line}" for line in _statements(speaker, neighbour)),
            "}",
        ]
    return "\n".join(sections) + "\n"


def environment(speaker: Speaker, *, user: str, envfile: Path) -> dict[str, str]:
    """Return the settings that ExaBGP takes from its environment; a change of one needs a new process.

    `envfile` is an empty file of ours, so that no other exabgp.env is read.
    """
    return {
        "EXABGP_ENVFILE": str(envfile),
        "exabgp.daemon.user": user,
        "exabgp.tcp.bind": " ".join(speaker.listen),
        "exabgp.tcp.port": str(speaker.port),
        "exabgp.api.cli": "false",
        "exabgp.api.ack": "true",
        "exabgp.api.respawn": "false",
        "exabgp.api.chunk": "500",
        "exabgp.api.show-routes-format": "v2",
        # A loop this slow is right only where the launcher wakes it in time.
        "exabgp.reactor.speed": "100.0",
        "exabgp.log.destination": "stderr",
        "exabgp.log.level": "ERROR",
    }


def _statements(speaker: Speaker, neighbour: Neighbour) -> Iterator[str]:
    yield f"router-id {unpack(speaker.router_id)};"
    yield f"local-address {neighbour.local_address};"
    yield f"local-as {neighbour.local_as};"
    yield f"peer-as {neighbour.peer_as};"
    yield f"hold-time {neighbour.hold_time};"
    yield f"passive {'true' if neighbour.passive else 'false'};"
    # Always named: otherwise the port we listen on, given by the environment, is also the one dialled.
    yield f"connect {neighbour.port};"
    if neighbour.password:
        yield f'md5-password "{_key(neighbour)}";'
        yield "md5-base64 true;"
    if neighbour.ttl_hops is not None:
        yield f"incoming-ttl {GTSM_TTL + 1 - neighbour.ttl_hops};"
    # Without it ExaBGP sends end-of-RIB at once after a restart, and every peer drops our routes.
    yield "manual-eor true;"
    yield "adj-rib-in false;"
    yield "adj-rib-out true;"
    yield "group-updates true;"
    yield f"family {{ {' '.join(f'{family} unicast;' for family in neighbour.families)} }}"
    yield f"capability {{ {' '.join(_capabilities(neighbour))} }}"
    yield f"api {_section_name(neighbour)} {{"
    yield f"    processes [ {PROCESS} ];"
    yield "    neighbor-changes;"
    yield "    receive { parsed; open; update; refresh; }"
    yield "}"


def _capabilities(neighbour: Neighbour) -> Iterator[str]:
    yield "asn4 enable;"
    yield "route-refresh enable;"
    yield "extended-message enable;"
    yield "add-path receive;"
    if neighbour.restart_time > 0:
        yield f"graceful-restart {min(neighbour.restart_time, LONGEST_RESTART_SECONDS)};"


def _key(neighbour: Neighbour) -> str:
    """Return the password in base64, which needs no quoting whatever characters it has."""
    key = (neighbour.password or "").encode()
    if len(key) > LONGEST_KEY_BYTES:
        raise ConfigError(
            f"render the session with {neighbour.address}: its password has {len(key)} bytes, "
            f"and the kernel's TCP MD5 takes {LONGEST_KEY_BYTES} at most"
        )
    return base64.b64encode(key).decode()


def _section_name(neighbour: Neighbour) -> str:
    """Return a name of this neighbour's own: ExaBGP refuses a file with two api sections of one name."""
    return f"peer-{neighbour.address.replace('.', '-').replace(':', '-')}"
