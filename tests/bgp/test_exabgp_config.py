from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from bgp import exabgp_config
from bgp.exabgp_supervisor import launcher, own_name
from bgp.speaker import LocalNode, Neighbour, Speaker
from net.prefix import pack

DIAL = Neighbour("10.9.0.2", "10.9.0.1", peer_as=64512, local_as=64512)
WAIT = replace(DIAL, address="10.9.0.3", passive=True)
SIX = replace(DIAL, address="fd09::4", local_address="fd09::1", families=("ipv6",))
EXTERNAL = replace(DIAL, address="10.9.0.5", peer_as=65001, port=1179, ttl_hops=1, password='a"b; c{ñ')


def speaker(*neighbours: Neighbour) -> Speaker:
    return Speaker(
        "n1",
        router_id=pack("10.9.0.1"),
        listen=("10.9.0.1", "fd09::1"),
        port=179,
        neighbours=neighbours,
        local=LocalNode(64512, pack("10.9.0.1")),
    )


def rendered(*neighbours: Neighbour) -> str:
    return exabgp_config.render(speaker(*neighbours))


def validate(text: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Have the real ExaBGP read the text, as it is done before a file is put in place."""
    file = directory / "exabgp.conf"
    file.write_text(text)
    settings = exabgp_config.environment(user=own_name(), envfile=directory / "none")
    return subprocess.run(
        launcher("--validate", str(file)),
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
    )


def test_exabgp_accepts_every_kind_of_session_we_render(tmp_path: Path) -> None:
    assert validate(rendered(DIAL, WAIT, SIX, EXTERNAL), tmp_path).returncode == 0
    assert validate(rendered(), tmp_path).returncode == 0


def test_exabgp_refuses_what_would_break_every_later_reload(tmp_path: Path) -> None:
    refused = validate(rendered(replace(DIAL, hold_time=2)), tmp_path)
    assert refused.returncode == 1
    assert "holdtime must be zero or at least 3 seconds" in refused.stderr


def test_each_session_says_end_of_rib_only_when_told_and_keeps_no_routes_twice() -> None:
    for text in (rendered(DIAL), rendered(SIX)):
        assert "manual-eor true;" in text
        assert "adj-rib-in false;" in text
        assert "adj-rib-out true;" in text


def test_no_template_is_used_for_it_would_win_over_the_neighbour() -> None:
    text = rendered(DIAL, WAIT, SIX, EXTERNAL)
    assert "template" not in text
    assert "inherit" not in text


def test_exactly_the_configured_side_is_passive() -> None:
    assert "passive false;" in rendered(DIAL)
    assert "passive true;" in rendered(WAIT)


def test_families_are_named() -> None:
    assert "family { ipv4 unicast; ipv6 unicast; }" in rendered(DIAL)
    assert "family { ipv6 unicast; }" in rendered(SIX)


def test_api_sections_have_names_of_their_own_that_others_do_not_change() -> None:
    names = re.findall(r"api (\S+) {", rendered(DIAL, WAIT, SIX))
    assert len(set(names)) == 3
    assert set(names) > set(re.findall(r"api (\S+) {", rendered(WAIT, SIX)))


@pytest.mark.parametrize(
    ("wanted", "statement"),
    [(120, "graceful-restart 120;"), (4095, "graceful-restart 4095;"), (4096, "graceful-restart 4095;")],
)
def test_restart_time_is_clamped_to_what_fits_on_the_wire(wanted: int, statement: str) -> None:
    assert statement in rendered(replace(DIAL, restart_time=wanted))


def test_restart_time_nought_switches_graceful_restart_off() -> None:
    assert "graceful-restart" not in rendered(replace(DIAL, restart_time=0))


def test_the_port_dialled_is_always_named() -> None:
    # exabgp.tcp.port, where we listen, would be dialled otherwise.
    assert "connect 179;" in rendered(DIAL)
    assert "connect 1179;" in rendered(EXTERNAL)


def test_hops_become_the_lowest_ttl_accepted() -> None:
    assert "incoming-ttl 255;" in rendered(EXTERNAL)
    assert "incoming-ttl 253;" in rendered(replace(EXTERNAL, ttl_hops=3))


def test_a_password_needs_no_quoting() -> None:
    assert '"a"b' not in rendered(EXTERNAL)
    assert "md5-base64 true;" in rendered(EXTERNAL)


BAD = [
    replace(DIAL, hold_time=65700),
    replace(DIAL, hold_time=2),
    replace(DIAL, peer_as=0),
    replace(DIAL, local_as=0),
    replace(DIAL, peer_as=1 << 32),
    replace(DIAL, peer_as=23456),
    replace(DIAL, port=0),
    replace(DIAL, restart_time=4096),
    replace(DIAL, ttl_hops=256),
    replace(DIAL, address="0.0.0.0"),
    replace(DIAL, address="224.0.0.5"),
    replace(DIAL, address="fd09::2"),
    replace(DIAL, address="nobody; }"),
    replace(SIX, address="fe80::1%eth0"),
    replace(SIX, address="fe80::1"),
    replace(SIX, address="FD09::4"),
    replace(SIX, address="::ffff:a00:1"),
    replace(DIAL, families=("ipv4",), local_address="fd09::1"),
    replace(DIAL, password="x" * 81),
]


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_what_cannot_be_rendered_is_held_back_alone_and_the_reason_tells_no_password(bad: Neighbour) -> None:
    bad = replace(bad, families=("ipv4",)) if "." in bad.local_address else bad
    made = exabgp_config.renderable(speaker(WAIT, bad, SIX))
    assert made.neighbours == (WAIT, SIX)
    [held_back] = made.held_back
    assert (held_back.address, held_back.peer_as, held_back.kind) == (bad.address, bad.peer_as, bad.kind)
    assert held_back.reason
    assert "xxx" not in held_back.reason


def test_every_value_at_its_limits_is_rendered_and_taken_by_exabgp(tmp_path: Path) -> None:
    extreme = (
        replace(DIAL, address="10.9.0.11", hold_time=65535, restart_time=4095, ttl_hops=255, port=65535),
        replace(DIAL, address="10.9.0.12", hold_time=3, restart_time=0, ttl_hops=1, port=1),
        replace(DIAL, address="10.9.0.13", peer_as=(1 << 32) - 1, password="x" * 80),
        replace(DIAL, address="169.254.255.2", peer_as=1, local_as=4200000000),
        replace(SIX, address="::ffff:1.2.3.4"),
    )
    made = exabgp_config.renderable(speaker(*extreme))
    assert made == speaker(*extreme)
    assert validate(exabgp_config.render(made), tmp_path).returncode == 0


def test_order_of_the_neighbours_does_not_matter() -> None:
    assert rendered(DIAL, WAIT) == rendered(WAIT, DIAL)


def test_it_listens_on_the_nodes_own_addresses() -> None:
    assert exabgp_config.listening(speaker(DIAL)) == {
        "exabgp.tcp.bind": "10.9.0.1 fd09::1",
        "exabgp.tcp.port": "179",
    }


def test_environment_respawns_nothing() -> None:
    settings = exabgp_config.environment(user="root", envfile=Path("/none"))
    assert settings["exabgp.api.respawn"] == "false"
    assert settings["exabgp.api.ack"] == "true"
    assert settings["exabgp.reactor.speed"] == "100.0"
