from __future__ import annotations

import pytest

from felixctl.command_line import understood
from felixctl.errors import CommandError


def test_what_is_run_in_a_lab_keeps_its_words() -> None:
    asked = ["lab", "exec", "n1", "--", "felixctl", "get", "nodes", "--allow-version-mismatch"]
    assert understood(asked) == asked
    assert understood(["why", "--allow-version-mismatch", "--", "a", "--allow-version-mismatch"]) == [
        "why", "--", "a", "--allow-version-mismatch",
    ]  # fmt: skip


def test_an_argument_of_bytes_that_are_no_text_is_misuse() -> None:
    with pytest.raises(CommandError, match=r"'.udcff' is not UTF-8 text") as refused:
        understood(["get", "bgppeer", b"\xff".decode(errors="surrogateescape")])
    assert refused.value.status == 2
