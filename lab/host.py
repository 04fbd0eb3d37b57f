"""The host's side of a lab: start it, find it again, ask it, enter it, end it.

Which labs there are is read from /proc, never from a file: a killed lab leaves nothing that could be stale.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from cni.build import build
from felix_py.status.status_json import from_json
from lab.namespaces import NEWIPC, NEWNET, NEWNS, NEWPID, NEWUSER, NEWUTS, SEARCH_PATH, enter
from lab.paths import CONTROL_SOCKET, DATASTORE, SHIM
from lab.progress import OnProgress
from lab.speaker import missing_packages
from lab.spec import LabSpec, SpecError, parse, with_ipip
from lab.state_model import LabState
from lab.timescale import GIVE_UP_SECONDS, TIMESCALE

ANSWER_SECONDS = 90.0 * TIMESCALE  # a CNI call may take as long as the runtime waits for it


class HostError(Exception):
    """A lab could not be started, found or asked; the message says why."""


class RunningLab(Struct):
    """init_pid: the first process of its PID namespace, as the host numbers it."""

    name: str
    init_pid: int
    process: subprocess.Popen[bytes] | None = None

    def end(self) -> None:
        """Kill the first process, and wait until the kernel has ended all others with it."""
        descriptor = None
        try:
            descriptor = os.pidfd_open(self.init_pid)
            os.kill(self.init_pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # already gone, with everything in it
        if descriptor is not None:
            _wait(descriptor)
        if self.process:
            self.process.wait()

    def ask(self, request: Mapping[str, Any]) -> Any:
        """Put one request to the lab and return its answer. This process enters its namespaces, and stays there.

        Raises HostError.
        """
        self.enter()
        return ask_within(request)

    def enter(self) -> None:
        """Move this process into the lab's namespaces for good, where `ask_within` works and the datastore is."""
        enter(self.init_pid, NEWUSER | NEWNS | NEWNET | NEWUTS | NEWIPC)


def ask_within(request: Mapping[str, Any]) -> Any:
    """Put one request to the lab whose namespaces this process is in. Raises HostError."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(CONTROL_SOCKET)
            with connection.makefile("rw") as stream:
                stream.write(json.dumps(request) + "\n")
                stream.flush()
                answer = json.loads(stream.readline() or '{"failed": "the lab ended meanwhile"}')
        except TimeoutError:
            raise HostError(f"ask the lab for {request['verb']}: no answer in {ANSWER_SECONDS:g} s") from None
        except OSError as error:
            raise HostError(f"ask the lab for {request['verb']}: {error.strerror}; it is starting or ending") from None
    if "failed" in answer:
        raise HostError(answer["failed"])
    return answer["answer"]


def start(
    spec_file: Path,
    on_progress: OnProgress,
    *,
    stays: bool,
    give_up_seconds: float = GIVE_UP_SECONDS,
    ipip: str | None = None,
    preload: Path | None = None,
) -> tuple[RunningLab, LabState]:
    """Start a lab and return it with its first state, when its pods reach one another or the time is over.

    A lab that does not stay dies with this process, however that ends. `ipip` is for all IPv4 pools, whatever the spec
    says; `preload` is a library of the tree that all programs of the lab load first. Raises HostError and SpecError.
    """
    started = time.monotonic()
    text, spec = _read(spec_file, ipip)
    _require_kernel_and_packages(spec)
    if stays and spec.name in {lab.name for lab in running_labs()}:
        raise HostError(f"bring up lab {spec.name}: it is up; end it with `felixctl lab down --lab {spec.name}`")
    _build_shim()
    order = {
        "spec": text,
        "started": started,
        "give_up_seconds": give_up_seconds,
        "dies_with_parent": not stays,
        "preload": str(preload or ""),
    }
    process = _launch(spec.name, order)
    try:
        state = _listen(process, on_progress)
    except BaseException:
        _end_all(process)
        raise
    return RunningLab(spec.name, _init_pid_of(process.pid), process), state


def _require_kernel_and_packages(spec: LabSpec) -> None:
    """Raises HostError: this machine lacks what the lab needs."""
    if spec.tunnels and not kernel_has_ipip():
        raise HostError(
            f"run lab {spec.name} with IPIP pools: this kernel has no ipip; `make lab-ipip` brings one that has"
        )
    if missing := missing_packages(spec.peers):
        raise HostError(
            f"run lab {spec.name} with the speakers it names: Debian's {' and '.join(missing)} is not installed; "
            f"once, as root: apt-get install --no-install-recommends {' '.join(missing)}"
        )


def _launch(name: str, order: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    """Start the lab's processes (lab/__main__.py) with their order on standard input."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lab", name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin
    process.stdin.write(json.dumps(order).encode() + b"\n")
    process.stdin.close()
    return process


def kernel_has_ipip() -> bool:
    """Find out by making a tunnel in a private network namespace, for which the kernel loads its module."""
    made = "ip link show tunl0 || ip link add ipip9 type ipip local 192.0.2.1 remote 192.0.2.2"
    tried = subprocess.run(
        ["unshare", "--map-root-user", "--net", "sh", "-c", made], capture_output=True, text=True, check=False
    )
    # Where namespaces are forbidden, the lab's own error says so.
    return tried.returncode == 0 or "unshare" in tried.stderr


def running_labs() -> list[RunningLab]:
    """Return the labs of this user, by name."""
    processes = [folder for folder in Path("/proc").iterdir() if folder.name.isdecimal()]
    found = [RunningLab(name, int(folder.name)) for folder in processes if (name := _lab_name(folder))]
    return sorted(found, key=lambda lab: lab.name)


def find(name: str | None) -> RunningLab:
    """Return the lab of that name, or the only one. Raises HostError."""
    up = running_labs()
    names = ", ".join(lab.name for lab in up)
    if name is not None:
        up = [lab for lab in up if lab.name == name]
    match up:
        case [lab]:
            return lab
        case [] if name is not None:
            raise HostError(f"find lab {name}: it is not up; up are: {names or 'none'}")
        case []:
            raise HostError("no lab is up; felixctl lab up SPEC brings one up")
        case _:
            raise HostError(f"several labs are up: {names}; say which with --lab NAME")


def execute(lab: RunningLab, name: str, command: list[str]) -> int:
    """Run a command in a node, peer or pod and return its exit status. This process enters the lab for good."""
    enter(lab.init_pid, NEWUSER | NEWNS | NEWNET | NEWUTS | NEWIPC | NEWPID)
    namespace_pid = ask_within({"verb": "namespace_pid", "node": name})
    # The answer numbers processes as the lab's PID namespace does, of which only a child is a member.
    child = os.fork()
    if not child:
        inside = ["nsenter", "--target", str(namespace_pid), "--net", "--mount", "--uts", "--", *command]
        os.execve("/usr/bin/nsenter", inside, {**os.environ, **inside_environment()})
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF


def inside_environment() -> dict[str, str]:
    """Return what a command inside a lab finds: this felixctl on the PATH, and the lab's datastore as its own."""
    return {
        "PATH": f"{Path(sys.executable).parent}:{SEARCH_PATH}",
        "HOME": "/root",
        "FELIX_DATASTORE": DATASTORE,
    }


def _listen(process: subprocess.Popen[bytes], on_progress: OnProgress) -> LabState:
    """Pass on the progress that the lab emits, until its report. Raises HostError if it fails instead."""
    assert process.stdout and process.stderr
    for line in process.stdout:
        match json.loads(line):
            case {"progress": what, "done": done, "wanted": wanted}:
                on_progress(what, done, wanted)
            case {"report": report}:
                return from_json(LabState, report)
            case {"failed": sentence}:
                raise HostError(sentence)
    errors = process.stderr.read().decode(errors="replace").strip().splitlines()
    raise HostError(f"start the lab: its first process ended: {errors[-1] if errors else 'it printed nothing'}")


def _end_all(process: subprocess.Popen[bytes]) -> None:
    """End a lab that is half started, whichever of its processes are there."""
    try:
        RunningLab("", _init_pid_of(process.pid)).end()
    except HostError:
        process.kill()
    process.wait()


def _init_pid_of(outer: int) -> int:
    """Return the lab's first process, the only child of the one that waits for it outside."""
    children = Path(f"/proc/{outer}/task/{outer}/children")
    try:
        return int(children.read_text().split()[0])
    except (OSError, IndexError):
        raise HostError("find the lab's first process: it has ended") from None


def _lab_name(folder: Path) -> str | None:
    """Return the name of the lab whose first process this is, if it is one."""
    try:
        command = (folder / "cmdline").read_bytes().split(b"\0")
        status = (folder / "status").read_text()
        mine = folder.stat().st_uid == os.getuid()
    except OSError:
        return None  # it has just ended
    if not mine or command[1:3] != [b"-m", b"lab"] or len(command) < 4:
        return None
    inside = next((line.split()[-1] for line in status.splitlines() if line.startswith("NSpid:")), "")
    return command[3].decode() if inside == "1" else None


def _build_shim() -> None:
    try:
        build(SHIM)
    except (RuntimeError, OSError) as error:
        raise HostError(f"{error}; the lab needs {SHIM}, which `make` builds too") from None


def _read(path: Path, ipip: str | None) -> tuple[str, LabSpec]:
    """Return a spec's text and what it says. Raises SpecError, with the file's name."""
    try:
        text = path.read_text()
        if ipip is not None:
            text = with_ipip(text, ipip)
        return text, parse(text)
    except OSError as error:
        raise SpecError(f"read the lab's spec {path}: {error.strerror}") from None
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None


def _wait(descriptor: int) -> None:
    """Wait until the process of a descriptor has ended; a PID namespace's first one does so last."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.poll()
    os.close(descriptor)
