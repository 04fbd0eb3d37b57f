"""The sidecar's command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bgp.options import HELP, Options, options


def test_an_option_has_its_value_behind_it_or_with_it_and_the_last_one_counts() -> None:
    assert options([]) == Options(Path("/run/felix/bgp/bgp.sock"), Path("/run/felix/bgp"), 1.0, 0, leave=False)
    words = ["--health-port=9097", "--socket", "/tmp/a=b.sock", "--timeout-factor", "2", "--timeout-factor=2.5"]
    assert options(words) == Options(Path("/tmp/a=b.sock"), health_port=9097, timeout_factor=2.5)
    assert options(["--leave", "--state-dir=/x"]) == Options(state_dir=Path("/x"), leave=True)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("--health-port", "--health-port: a value is missing"),
        ("--health-port=http", "--health-port: 'http' is not a number"),
        ("--timeout-factor fast", "--timeout-factor: 'fast' is not a number"),
        ("--leave=no", "'--leave=no' is no option of the sidecar"),
        ("--state_dir=/x", "'--state_dir=/x' is no option of the sidecar"),
        ("--sock /x", "'--sock' is no option of the sidecar"),
        ("health_port=1", "'health_port=1' is no option of the sidecar"),
        ("/run", "'/run' is no option of the sidecar"),
    ],
)
def test_what_is_not_understood_starts_nothing(words: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        options(words.split())


def test_each_option_is_in_the_help() -> None:
    for field in Options._fields:
        assert f"\n  --{field.replace('_', '-')} " in HELP


def test_the_program_says_what_it_does_not_understand() -> None:
    ended = subprocess.run([sys.executable, "-m", "bgp", "--port", "1"], capture_output=True, text=True, check=False)
    said = "start the sidecar: '--port' is no option of the sidecar; see --help; it does not start\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", said)
    shown = subprocess.run([sys.executable, "-m", "bgp", "--help"], capture_output=True, text=True, check=True)
    assert (shown.stdout, shown.stderr) == (HELP, "")
