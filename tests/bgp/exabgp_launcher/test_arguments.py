"""What the launcher is started with."""

from __future__ import annotations

import pytest

from bgp import exabgp_supervisor
from bgp.exabgp_launcher.arguments import Arguments, arguments


def test_what_a_sidecar_starts_it_with() -> None:
    _, _, _, *words = exabgp_supervisor.launcher("exabgp.conf", "--compare", "--commands", "5", "--events", "6")
    assert arguments(words) == Arguments("exabgp.conf", 5, 6, compare=True, validate=False)
    _, _, _, *words = exabgp_supervisor.launcher("--validate", "exabgp.conf")
    assert arguments(words) == Arguments("exabgp.conf", -1, -1, compare=False, validate=True)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("", "no configuration, or more than that"),
        ("--validate", "no configuration, or more than that"),
        ("--of-the-next-release exabgp.conf", "no configuration, or more than that"),
        ("exabgp.conf --events", "no number follows --events"),
        ("--commands stdin exabgp.conf", "no number follows --commands"),
    ],
)
def test_what_is_not_understood(words: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"start ExaBGP with {words}: {why}; nothing is started"):
        arguments(words.split())
