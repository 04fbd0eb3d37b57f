"""No peer's text commands the terminal that a log is read on."""

from __future__ import annotations

import logging
import sys

from bgp.logs import LEVELS, EscapingFormatter
from felix_py.configuration.settings import Settings


def test_what_a_peer_wrote_is_one_harmless_line() -> None:
    record = logging.LogRecord("bgp", logging.WARNING, "f", 1, "peer said %s", ("\x1b[2J\na: b\u202e",), None)
    assert EscapingFormatter("%(levelname)s %(message)s").format(record) == r"WARNING peer said \x1b[2J\na: b\u202e"


def test_a_traceback_keeps_its_lines() -> None:
    try:
        raise ValueError("\x07")
    except ValueError:
        record = logging.LogRecord("bgp", logging.ERROR, "f", 1, "why", (), sys.exc_info())
    text = EscapingFormatter("%(message)s").format(record)
    assert text.startswith("why\nTraceback")
    assert text.endswith(r"ValueError: \x07")


def test_it_has_the_levels_of_the_agent() -> None:
    names = Settings.model_fields["log_level"].description
    assert names is not None and names.startswith(", ".join([*LEVELS][:-1]))
    for name, level in LEVELS.items():
        threshold = Settings.model_validate({"FELIX_LOGSEVERITYSCREEN": name}).log_level
        assert level == (logging.CRITICAL + 1 if threshold == "NONE" else getattr(logging, threshold))
