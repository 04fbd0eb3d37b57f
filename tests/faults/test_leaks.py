"""What a log says went wrong."""

from __future__ import annotations

from faults.leaks import tracebacks

LOG = """\
12:00 felix.agent ready
Traceback (most recent call last):
  File "a.py", line 1, in <module>
    raise ValueError("x")
ValueError: x

12:01 felix.agent round
"""


def test_each_traceback_of_a_log_is_found_with_its_lines() -> None:
    found = list(tracebacks({"n1-agent": LOG, "n1-sidecar": "all is well\n"}))
    assert len(found) == 1
    assert found[0].startswith("n1-agent: Traceback")
    assert found[0].endswith("ValueError: x")
