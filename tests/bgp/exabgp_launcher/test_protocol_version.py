"""A sidecar that runs on from before an upgrade, and the launcher that was installed by it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bgp import exabgp_supervisor
from bgp.exabgp_launcher.protocol_version import LASTS, OTHER_VERSION, VERSION, end_for_another_version
from tests.bgp.protocol_samples import exabgp_lines, recorded


def test_the_sidecar_of_this_release_is_served() -> None:
    end_for_another_version(exabgp_supervisor.launcher("exabgp.conf", "--commands", "5")[3:])


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["--commands", "5", "exabgp.conf"], LASTS, "a version before 1"),
        (
            ["--protocol", str(VERSION + 1), "--of-the-next-release", "exabgp.conf"],
            OTHER_VERSION,
            f"version {VERSION + 1}",
        ),
        (["--protocol", "0", "--validate", "exabgp.conf"], OTHER_VERSION, "version 0"),
    ],
)
def test_another_one_is_told_what_to_do_whatever_else_it_asks(arguments: list[str], code: int, named: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-I", str(exabgp_supervisor.LAUNCHER), *arguments], capture_output=True, text=True
    )
    assert ended.returncode == code
    assert ended.stderr.startswith(
        f"the sidecar speaks {named} of what passes between it and ExaBGP, what is installed"
    )
    assert "restart the sidecar, which is of another release (systemctl restart felix-sidecar)" in ended.stderr


def test_what_passes_otherwise_than_it_was_recorded_is_another_version() -> None:
    assert exabgp_lines() == recorded("exabgp", VERSION).read_text(), (
        "what passes between sidecar and launcher has changed, and one of each release may meet: raise VERSION in "
        "bgp/exabgp_launcher/protocol_version.py, then run python -m tests.bgp.protocol_samples"
    )
