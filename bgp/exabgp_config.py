"""A Speaker as ExaBGP's configuration file and environment.

Pure. No templates: a value in a template would win over the same one in a neighbour that inherits it.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec.structs import replace

from bgp.exabgp_errors import printable
from bgp.speaker import HeldBackSession, Neighbour, Speaker
from net.family import Family, family_of_address
from net.prefix import pack, unpack

PROCESS = "agent"
LONGEST_RESTART_SECONDS = 4095  # twelve bits on the wire; ExaBGP would send the rest of a longer one
LONGEST_HOLD_SECONDS = 65535  # what fits into the OPEN's 16 bits (RFC 4271 §4.2)
LARGEST_AS, AS_TRANS = (1 << 32) - 1, 23456
LONGEST_KEY_BYTES = 80  # TCP_MD5SIG_MAXKEYLEN
GTSM_TTL = 255
MULTICAST: Mapping[Family, range] = {"ipv4": range(224, 240), "ipv6": range(255, 256)}
"""The first byte of the addresses of groups."""


def renderable(speaker: Speaker) -> Speaker:
    """Return the speaker with every session that ExaBGP would refuse or misread held back, and its reason.

    ExaBGP refuses the whole file for one bad value, and every later reload with it.
    """
    obstacles = {each: obstacle(each) for each in speaker.neighbours}
    return replace(
        speaker,
        neighbours=tuple(each for each, reason in obstacles.items() if reason is None),
        held_back=(
            *speaker.held_back,
            *(
                HeldBackSession(each.address, each.peer_as, each.kind, reason)
                for each, reason in obstacles.items()
                if reason is not None
            ),
        ),
    )


def obstacle(neighbour: Neighbour) -> str | None:
    """Return why this session cannot be written into the file as it is meant, or None: it can."""
    for what, text in (("address", neighbour.address), ("local address", neighbour.local_address)):
        if problem := _address_problem(text, neighbour.families):
            return f'its {what} "{printable(text)}" {problem}'
    for what, value, least, most in (
        ("AS number", neighbour.peer_as, 1, LARGEST_AS),
        ("local AS number", neighbour.local_as, 1, LARGEST_AS),
        ("port", neighbour.port, 1, 65535),
        ("hold time", neighbour.hold_time, 3, LONGEST_HOLD_SECONDS),
        ("restart time", neighbour.restart_time, 0, LONGEST_RESTART_SECONDS),
        ("number of hops", 1 if neighbour.ttl_hops is None else neighbour.ttl_hops, 1, GTSM_TTL),
    ):
        if not least <= value <= most:
            return f"its {what} is {value}, and must be {least} to {most}"
    if neighbour.peer_as == AS_TRANS or neighbour.local_as == AS_TRANS:
        return f"AS number {AS_TRANS} stands for others on the wire, and belongs to no network (RFC 6793)"
    size = len((neighbour.password or "").encode(errors="surrogatepass"))
    if size > LONGEST_KEY_BYTES:
        return f"its password has {size} bytes, and the kernel's TCP MD5 takes {LONGEST_KEY_BYTES} at most"
    return None


def _address_problem(text: str, families: tuple[Family, ...]) -> str | None:
    try:
        packed = pack(text.partition("%")[0])
    except ValueError:
        return "is no IP address"
    # ExaBGP names a session by this text: written otherwise than the kernel does, it is never found again.
    if unpack(packed) != text:
        return "is not written as ExaBGP reads it"
    family = family_of_address(packed)
    if not any(packed) or packed[0] in MULTICAST[family] or text == "255.255.255.255":
        return "is not the address of one machine"
    if family == "ipv6" and packed[0] == 0xFE and packed[1] >> 6 == 0b10:
        return "is good on one link only, and ExaBGP cannot be given the link: use its global address"
    if family not in families and len(families) == 1:
        return f"is not of the family {families[0]}"
    return None


def render(speaker: Speaker) -> str:
    """Return the text of exabgp.conf. It holds the passwords, so its file is to be readable by its owner only.

    What it cannot say right has been held back by `renderable`.
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


def listening(speaker: Speaker) -> dict[str, str]:
    """Return the settings of ExaBGP that come with the sessions; a change of one needs a new process."""
    return {"exabgp.tcp.bind": " ".join(speaker.listen), "exabgp.tcp.port": str(speaker.port)}


def environment(*, user: str, envfile: Path) -> dict[str, str]:
    """Return the settings that ExaBGP takes from its environment, whatever the sessions are.

    `envfile` is an empty file of ours, so that no other exabgp.env is read.
    """
    return {
        "EXABGP_ENVFILE": str(envfile),
        "exabgp.daemon.user": user,
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
    return binascii.b2a_base64((neighbour.password or "").encode(errors="surrogatepass"), newline=False).decode()


def _section_name(neighbour: Neighbour) -> str:
    """Return a name of this neighbour's own: ExaBGP refuses a file with two api sections of one name."""
    return f"peer-{neighbour.address.replace('.', '-').replace(':', '-')}"
