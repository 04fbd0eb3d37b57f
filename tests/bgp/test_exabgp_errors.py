"""What ExaBGP prints at its end becomes one sentence."""

from __future__ import annotations

import pytest

from bgp.exabgp_errors import (
    OTHER_VERSION,
    UNKNOWN_RELEASE,
    configuration_error,
    exit_cause,
    other_release,
    printable,
)
from bgp.exabgp_launcher import protocol_version
from bgp.exabgp_launcher.__main__ import UNKNOWN_RELEASE as LAUNCHERS


@pytest.mark.parametrize(
    ("exit_code", "stderr", "cause"),
    [
        (-9, [], ("it was ended by SIGKILL", False)),
        (1, [], ("it ended with exit code 1", False)),
        (1, ["a", "boom"], ("it ended with exit code 1, last stderr line: boom", False)),
        (79, ["restart the sidecar"], ("restart the sidecar", True)),
        (78, ["patch ExaBGP 6"], ("it ended with exit code 78, last stderr line: patch ExaBGP 6", True)),
        (
            1,
            ["could not listen on 10.9.0.1:179, the port is in use"],
            ("listen on 10.9.0.1 port 179: address already in use, another BGP speaker runs here", True),
        ),
        (
            1,
            ["could not load/reload configuration", "line 3: no"],
            ("it refuses its configuration: line 3: no", True),
        ),
    ],
)
def test_an_end_has_a_cause_and_is_final_or_not(exit_code: int, stderr: list[str], cause: tuple[str, bool]) -> None:
    assert exit_cause(exit_code, stderr) == cause


def test_the_launchers_exit_codes_are_those_read_here() -> None:
    """Two constants each: the launcher imports nothing of ours but its own package."""
    assert (LAUNCHERS, protocol_version.LASTS) == (UNKNOWN_RELEASE, UNKNOWN_RELEASE)
    assert protocol_version.OTHER_VERSION == OTHER_VERSION


@pytest.mark.parametrize("last", ["can't open file '/opt/felix/__main__.py'", "unrecognized arguments: --protocol 1"])
def test_a_launcher_that_is_gone_or_knows_no_version_is_of_another_release(last: str) -> None:
    said = other_release(2, ["usage", last])
    assert said == (
        f"another release than the sidecar's is installed ({last}): restart the sidecar "
        "(systemctl restart felix-sidecar); ExaBGP is not started"
    )
    assert exit_cause(2, [last]) == (said, True)
    assert other_release(1, ["boom"]) is None


def test_a_refused_configuration_is_one_line_and_hides_the_key() -> None:
    printed = 'noise\n/x/exabgp.conf is not a valid config file:\n  syntax error\n  md5-password "s3cret"\n'
    assert configuration_error(printed) == "syntax error, md5-password …"


def test_what_could_drive_a_terminal_is_replaced() -> None:
    assert printable("a\x1b[2J\n") == "a?[2J?"
