"""What the shell may complete."""

from __future__ import annotations

from types import SimpleNamespace

from felixctl import completion
from tests.felixctl.command import Felixctl
from tests.felixctl.golden import printed


def test_kinds_and_forms_are_completed() -> None:
    assert completion.complete_kinds("ipp") == ["ippools"]
    assert completion.complete_kinds("w") == ["workloadendpoints"]
    assert completion.complete_kinds("wep") == ["weps", "wep"]
    assert completion.complete_formats("j") == ["json", "jsonpath="]


def test_names_are_those_of_the_kind_on_the_line(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=printed("cli/after-add-nodes.yaml"))
    line = SimpleNamespace(params={"kind": "node"})
    assert completion.complete_names(line, "node-") == ["node-1", "node-2", "node-3"]
    assert completion.complete_names(SimpleNamespace(params={"kind": "nodez"}), "") == []


def test_without_a_datastore_there_is_nothing_to_complete() -> None:
    assert (
        completion.complete_names(SimpleNamespace(params={"kind": "node", "url": "sqlite:///nowhere/c.db"}), "") == []
    )


def test_the_shell_is_answered(felixctl: Felixctl) -> None:
    import os
    import subprocess
    import sys

    felixctl("apply", "-f", "-", stdin=printed("cli/after-add-nodes.yaml"))
    asked = {"_FELIXCTL_COMPLETE": "complete_bash", "COMP_WORDS": "felixctl get node node-", "COMP_CWORD": "3"}
    ended = subprocess.run(
        [sys.executable, "-m", "felixctl"], env=os.environ | asked, capture_output=True, text=True, check=False
    )
    assert ended.stdout.split() == ["node-1", "node-2", "node-3"]
