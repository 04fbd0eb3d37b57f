"""Every example that this kernel can run, for real, as a person runs it. Tunnels have `make test-kernel`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lab import host
from lab.examples import Example, examples
from lab.paths import TREE

ALL = examples()
RUNNABLE = [each for each in ALL if host.kernel_has_ipip() or not each.spec.tunnels]


# What the page of an example has to hold beyond what holds for all: the point of it.
SHOWN = {
    "250-pods": (
        r"n1 .*10\.65\.0\.0/26",
        r"blackhole 10\.65\.0\.192/26",
        r"10\.65\.0\.\d+/32 via 192\.0\.2\.2 dev eth0 proto 81",
        r"n1 +62750/62750",
    ),
    "dual-stack": (r"/26 via 192\.0\.2\.\d dev eth0 proto 81", r"/122 via 2001:db8:1::\d dev eth0 proto 81"),
    "speakers": tuple(
        rf"{network} via {via} dev eth0 proto 81"
        for network, via in (
            (r"203\.0\.113\.0/26", r"192\.0\.2\.3"),
            ("2001:db8:b::/48", "2001:db8:1::3"),
            (r"203\.0\.113\.64/26", r"192\.0\.2\.4"),
            ("2001:db8:f::/48", "2001:db8:1::4"),
            (r"203\.0\.113\.128/26", r"192\.0\.2\.5"),
            ("2001:db8:6::/48", "2001:db8:1::5"),
        )
    ),
    "strict-affinity": (r"n2-\d+ +n2 +101 ", "borrowing", "2 pods refused, as expected"),
    "top-of-rack": (r"203\.0\.113\.0/24 via 192\.0\.2\.3",),
    "twenty-nodes": ("380/380 sessions", "3540/3540 pings"),
    "two-pools": (r"n1 .* 10\.65\.\S+/26", r"n2 .* 10\.65\.\S+/26", r"n3 .* 10\.66\.\S+/28"),
}


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
    for words in SHOWN.get(Path(example.file).stem, ()):
        assert re.search(words, ran.stdout), f"the page does not show {words}:\n{ran.stdout}"
    assert seen["pings"]["sent"] >= seen["pods"] * (seen["pods"] - 1)


def test_the_examples_are_listed_with_what_they_show() -> None:
    ran = felixctl("lab", "list")
    lines = ran.stdout.splitlines()
    assert (ran.returncode, lines[0].split()) == (0, ["FILE", "NODES", "PODS", "SHOWS"])
    for line, example in zip(lines[1:], ALL, strict=False):
        assert line.split()[:3] == [example.file, str(len(example.spec.nodes)), str(example.spec.pods)]
        assert example.shows in line
