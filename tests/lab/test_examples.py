"""Every example that this kernel can run, for real, as a person runs it. Tunnels have `make test-kernel`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lab import host
from lab.examples import TREE, Example, examples

ALL = examples()
RUNNABLE = [each for each in ALL if host.kernel_has_ipip() or not each.spec.tunnels]


def felixctl(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "felixctl", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=TREE, timeout=180)


@pytest.mark.parametrize("example", RUNNABLE, ids=lambda example: Path(example.file).stem)
def test_an_example_is_fully_reachable_violates_nothing_and_leaves_nothing(example: Example, tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.json"
    ran = felixctl("lab", "run", example.file, "--json", str(numbers))
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    assert "✓ every pod reaches every other" in ran.stdout
    seen, spec = json.loads(numbers.read_text()), example.spec
    refused = sum(node.refusal.pods for node in spec.nodes if node.refusal)
    assert (seen["nodes"], seen["pods"]) == (len(spec.nodes), spec.pods - refused)
    assert seen["sessions"] == {"expected": spec.sessions, "established": spec.sessions}
    assert seen["pings"]["sent"] >= seen["pods"] * (seen["pods"] - 1)


def test_the_examples_are_listed_with_what_they_show() -> None:
    ran = felixctl("lab", "list")
    lines = ran.stdout.splitlines()
    assert (ran.returncode, lines[0].split()) == (0, ["FILE", "NODES", "PODS", "SHOWS"])
    for line, example in zip(lines[1:], ALL, strict=False):
        assert line.split()[:3] == [example.file, str(len(example.spec.nodes)), str(example.spec.pods)]
        assert example.shows in line
