"""Whole labs, for real: agents, ExaBGP, BIRD and pods in a sandbox, driven through felixctl as a person would.

n1 ── n2 ── tor (a real BIRD, AS 64600)     one subnet, one pod on each node
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.host import RunningLab, running_labs
from lab.leftovers import final_leftovers, listing
from lab.paths import TREE
from lab.verdict import attributable

STRANGER = 54321  # an ordinary user without a name, a home or a group

SPEC = """
name: {name}
nodes: 2
peers: [{{name: tor, as: 64600, networks: [203.0.113.0/24]}}]
pools: [{{name: pods, cidr: 10.65.0.0/16, natOutgoing: false}}]
"""


def felixctl(*words: str | Path, python: Path | str = sys.executable, **user: Any) -> subprocess.CompletedProcess[str]:
    """Run felixctl to its end; the caller looks at status and output."""
    return subprocess.run(
        [python, "-m", "felixctl", *words], capture_output=True, text=True, check=False, cwd="/", timeout=120, **user
    )


def done(ran: subprocess.CompletedProcess[str]) -> str:
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    return ran.stdout


def spec_file(folder: Path, name: str) -> Path:
    path = folder / "spec.yaml"
    path.write_text(SPEC.format(name=name))
    path.chmod(0o644)
    return path


class Up:
    """A lab that is up, and the commands a person has for it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `felixctl lab VERB --lab NAME …`."""
        verbs = 2 if words[0] == "pod" else 1
        return felixctl("lab", *words[:verbs], "--lab", self.name, *words[verbs:])

    def status(self) -> Any:
        return json.loads(done(self.run("status", "--json")))

    def eventually(self, what: str, seen: Any) -> None:
        deadline = time.monotonic() + 60
        while not seen():
            assert time.monotonic() < deadline, f"not seen: {what}"
            time.sleep(0.2)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    name = f"t{os.getpid() % 10**8}"
    try:
        done(felixctl("lab", "up", spec_file(tmp_path_factory.mktemp("lab"), name)))
        yield Up(name)
    finally:
        for running in running_labs():
            if running.name == name:
                running.end()


def test_a_lab_that_is_up_reports_itself(lab: Up) -> None:
    status = lab.status()
    assert status["sessions"] == {"expected": 6, "established": 6}
    assert status["pings"] == {"sent": 2, "lost": 0}
    assert status["invariants"]["violated"] == []


def test_a_command_runs_in_a_node_a_peer_and_a_pod_and_its_exit_status_comes_back(lab: Up) -> None:
    assert done(lab.run("exec", "n1", "--", "hostname")).strip() == "n1"
    assert "Established" in done(lab.run("exec", "tor", "--", "birdc", "-s", "/run/bird.ctl", "show", "protocols"))
    assert "default via 169.254.1.1" in done(lab.run("exec", "n1-1", "--", "ip", "route"))
    assert lab.run("exec", "n2", "--", "sh", "-c", "exit 7").returncode == 7


def test_a_real_bird_learns_the_blocks_and_the_nodes_learn_its_network(lab: Up) -> None:
    blocks = [block for node in lab.status()["nodes"] for block in node["blocks"]]
    routes = done(lab.run("exec", "tor", "--", "ip", "route"))
    assert all(block in routes for block in blocks)
    assert "203.0.113.0/24 via 192.0.2.3" in done(lab.run("exec", "n1", "--", "ip", "route", "show", "proto", "81"))


def test_a_pod_can_come_and_go_and_come_again_under_its_name(lab: Up) -> None:
    for _ in range(2):
        assert "pod web on n2 has 10.65." in done(lab.run("pod", "add", "n2", "web"))
        assert lab.status()["pings"] == {"sent": 6, "lost": 0}
        assert done(lab.run("pod", "del", "web")) == "pod web is removed\n"
    assert lab.status()["pings"] == {"sent": 2, "lost": 0}


def test_a_killed_program_is_started_again(lab: Up) -> None:
    for victim in ("agent", "exabgp", "sidecar"):
        assert "it is started again" in done(lab.run("kill", "n1", victim))
    assert "it is started again" in done(lab.run("kill", "tor", "bird"))
    lab.eventually("all sessions, and agents that are well", lambda: well(lab.status()))


def test_traffic_runs_beside_everything_else(lab: Up) -> None:
    running = next(running for running in running_labs() if running.name == lab.name)
    ask(running, {"verb": "traffic start", "per_second": 100})
    assert lab.status()["pings"] == {"sent": 2, "lost": 0}
    traffic = ask(running, {"verb": "traffic stop"})
    assert traffic["sent"] > 0
    assert traffic["lost"] == 0


def test_a_verb_that_cannot_be_done_says_why(lab: Up) -> None:
    for words, sentence in (
        (("exec", "n9", "--", "true"), "enter n9: there is no such node, peer or pod; known: n1, n2, tor, n1-1, n2-1"),
        (("pod", "add", "n9", "web"), "there is no node n9; nodes: n1, n2"),
        (("pod", "add", "n1", "n2-1"), "add pod n2-1 on n1: n2 has a pod of that name already"),
        (("pod", "del", "web"), "delete pod web: there is none; pods: n1-1, n2-1"),
        (("kill", "n1", "bird"), "kill bird on n1: it may be agent, sidecar or exabgp"),
    ):
        ran = lab.run(*words)
        assert (ran.returncode, sentence in ran.stderr) == (1, True), ran.stderr


def test_an_ordinary_user_runs_a_lab_and_leaves_nothing_behind(open_folder: Path) -> None:
    python = copy_that_every_user_can_read(open_folder)
    before = listing()
    spec = spec_file(open_folder, "stranger")
    ran = felixctl("lab", "run", spec, python=python, user=STRANGER, group=STRANGER, extra_groups=[])
    assert "every pod reaches every other" in done(ran)
    assert attributable(final_leftovers(before)) == []


def test_killing_the_first_process_of_a_lab_that_is_up_leaves_nothing_behind(tmp_path: Path) -> None:
    before = listing()
    done(felixctl("lab", "up", spec_file(tmp_path, "doomed")))
    running = next(running for running in running_labs() if running.name == "doomed")
    os.kill(running.init_pid, signal.SIGKILL)
    assert attributable(final_leftovers(before)) == []
    assert "doomed" not in [running.name for running in running_labs()]
    assert "find lab doomed: it is not up" in felixctl("lab", "status", "--lab", "doomed").stderr


def test_a_bad_spec_ends_with_its_sentence_and_status_1(tmp_path: Path) -> None:
    """The file is named where the spec itself is refused; a record of it that is, is named by its kind and name."""
    bad, odd, none = (tmp_path / f"{name}.yaml" for name in ("bad", "odd", "none"))
    bad.write_text("nodes: 2\npools: [{name: p, cidr: 10.0.0.0/28, blockSize: 26}]\n")
    odd.write_text("nodes: many\n")
    for path, sentence in (
        (bad, 'IPPool "p": cidr 10.0.0.0/28 is smaller than one block of /26'),
        (odd, f"felixctl: {odd}: nodes: "),
        (none, f"{none}: No such file"),
    ):
        ran = felixctl("lab", "run", path)
        assert ran.returncode == 1
        assert sentence in ran.stderr
        assert "Traceback" not in ran.stderr


def well(status: Any) -> bool:
    sessions, checks = status["sessions"], status["invariants"]
    agents = all(node["ready"] for node in status["nodes"])
    return agents and sessions["established"] == sessions["expected"] and checks["checked"] and not checks["violated"]


ASK = """
import json, sys
from lab.host import RunningLab
print(json.dumps(RunningLab("", int(sys.argv[1])).ask(json.loads(sys.argv[2]))))
"""


def ask(running: RunningLab, request: dict[str, Any]) -> Any:
    """Ask from a process of its own: a process that enters a lab stays there."""
    command = [sys.executable, "-c", ASK, str(running.init_pid), json.dumps(request)]
    return json.loads(done(subprocess.run(command, capture_output=True, text=True, check=False)))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="felix-lab-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


NOT_NEEDED_TO_RUN = (".git", ".*_cache", ".hypothesis", "hypothesis", "mypy", "mypyc", "*__mypyc.*.so", "pip", "ruff")


def copy_that_every_user_can_read(folder: Path) -> Path:
    """Copy the tree with its virtual environment, and return the copy's Python.

    The checkout itself may lie where only root can enter, as root's home is.
    """
    tree, venv = folder / "tree", Path(sys.prefix)
    ignored = shutil.ignore_patterns(*NOT_NEEDED_TO_RUN, venv.name)
    shutil.copytree(TREE, tree, symlinks=True, ignore=ignored)
    shutil.copytree(venv, tree / ".venv", symlinks=True, ignore=shutil.ignore_patterns(*NOT_NEEDED_TO_RUN))
    for path in (tree / ".venv").glob("lib/python*/site-packages/*felix*.pth"):
        path.write_text(f"{tree}\n")  # the editable install of the copy is the copy
    subprocess.run(["chmod", "--recursive", "a+rX", tree], check=True)
    return tree / ".venv" / "bin" / Path(sys.executable).name


def test_a_lab_that_is_started_by_hand_says_what_starts_labs() -> None:
    ran = subprocess.run([sys.executable, "-m", "lab", "--help"], cwd=TREE, input="", capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("start a lab: there is no order on standard input; felixctl lab starts labs")
