"""The sandbox: its first process is alone in it, sees the host's programs, and can change nothing of the host.

pytest ─ outer (waits) ─ 1 (first) ─ 2 (supervisor: runs the script below) ─ 3 (node n1)
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.leftovers import final_leftovers, listing
from lab.paths import TREE
from lab.verdict import attributable

ENTER = """
import json, os, pathlib, signal, socket, subprocess, sys
from pathlib import Path
from lab.namespaces import become_sandbox, make_node_namespace, network_of
become_sandbox([Path(sys.argv[1]), Path(sys.prefix), Path(sys.base_prefix)], dies_with_parent=True)
def refused(action):
    try:
        action()
    except OSError as error:
        return error.errno
def emit(**values):
    print(json.dumps(values), flush=True)
"""


def in_sandbox(script: str, *, as_user: int | None = None) -> Any:
    """Run a script in a new sandbox and return what it emits."""
    ran = subprocess.run(
        [sys.executable, "-c", ENTER + script, str(TREE)],
        capture_output=True,
        text=True,
        check=False,
        user=as_user,
        group=as_user,
        extra_groups=None if as_user is None else [],
        cwd="/",
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_the_sandbox_has_its_own_processes_and_an_empty_etc_run_and_opt() -> None:
    emitted = in_sandbox("emit(pid=os.getpid(), uid=os.getuid(), run=os.listdir('/run'), opt=os.listdir('/opt'),"
                    " cni=Path('/etc/cni').exists(), links=os.listdir('/proc/sys/net/ipv4/conf'))")  # fmt: skip
    assert (emitted["pid"], emitted["uid"], emitted["run"], emitted["opt"], emitted["cni"]) == (2, 0, [], [], False)
    assert set(emitted["links"]) == {"all", "default", "lo"}


def test_system_folders_and_the_tree_are_there_and_read_only() -> None:
    emitted = in_sandbox("""emit(
        usr=refused(lambda: Path('/usr/felix-was-here').touch()),
        tree=refused(lambda: Path(sys.argv[1], 'felix-was-here').touch()),
        own=refused(lambda: Path('/run/felix-was-here').touch()),
        spec=Path(sys.argv[1], 'examples/three-nodes.yaml').exists())""")
    assert emitted == {"usr": 30, "tree": 30, "own": None, "spec": True}


def test_a_node_has_its_own_name_network_and_run() -> None:
    emitted = in_sandbox("""
namespace_pid = make_node_namespace('n1')
Path('/run/of-the-sandbox').touch()
here = os.stat('/proc/self/ns/net').st_ino
with network_of(namespace_pid):
    there = os.stat('/proc/self/ns/net').st_ino
emit(moved=there != here, back=os.stat('/proc/self/ns/net').st_ino == here,
    name=subprocess.run(['nsenter', '--target', str(namespace_pid), '--uts', 'hostname'],
                        capture_output=True, text=True).stdout.strip(),
    run=sorted(os.listdir(f'/proc/{namespace_pid}/root/run')),
    cni=os.path.isdir(f'/proc/{namespace_pid}/root/opt/cni/bin'))""")
    assert emitted == {"moved": True, "back": True, "name": "n1", "run": ["netns"], "cni": True}


@pytest.mark.parametrize("victim", ["outer", "first"])
def test_when_the_outer_or_the_first_process_is_killed_all_others_end(victim: str) -> None:
    before = listing()
    outer = subprocess.Popen(
        [sys.executable, "-c", ENTER + "make_node_namespace('n1'); emit(up=True); signal.pause()", str(TREE)],
        stdout=subprocess.PIPE,
    )
    try:
        assert outer.stdout and outer.stdout.readline()
        first = int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text())
        os.kill(outer.pid if victim == "outer" else first, signal.SIGKILL)
        outer.wait()
        assert outer.stdout.read() == b""  # the supervisor, which held the other end, is gone
        assert attributable(final_leftovers(before)) == []
    finally:
        outer.kill()
        outer.wait()


def test_where_user_namespaces_are_forbidden_the_error_names_the_switch_that_allows_them() -> None:
    emitted = in_sandbox("""
Path('/proc/sys/user/max_user_namespaces').write_text('0')  # this sandbox's own limit, not the host's
order = json.dumps({'spec': 'nodes: 1', 'dies_with_parent': True, 'started': 0, 'give_up_seconds': 1})
ran = subprocess.run([sys.executable, '-m', 'lab', 'nested'], input=order + chr(10), capture_output=True, text=True)
emit(status=ran.returncode, **json.loads(ran.stdout))""")
    assert emitted["status"] == 1
    assert "this system forbids user namespaces to this user" in emitted["failed"]
    assert "as root: sysctl -w user.max_user_namespaces=10000" in emitted["failed"]
