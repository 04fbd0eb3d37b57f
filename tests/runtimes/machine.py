"""Plain machines on this one: namespaces that systemd runs, joined by a switch (`boot` beside this file makes one)."""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

TREE = Path(__file__).resolve().parents[2]
BOOT = Path(__file__).with_name("boot")
SEARCH_PATH = "/opt/felix/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PATIENCE_SECONDS = 60.0
DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
TARGETS = "sysinit basic multi-user shutdown network network-online local-fs".split()  # noqa: SIM905
UNITS = "/etc/systemd/system"
JOURNAL = "systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket".split()  # noqa: SIM905
ITS_SETTINGS = "[Journal]\nStorage=persistent\nReadKMsg=no\n"
GATEWAY = "192.0.2.254"


Found = TypeVar("Found")


def eventually(what: str, look: Callable[[], Found | None], patience_seconds: float = PATIENCE_SECONDS) -> Found:
    """Return what `look` finds, looking until it is true. Raises AssertionError: it was not, for that long."""
    deadline = time.monotonic() + patience_seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {patience_seconds:.0f} s: {what}"
        time.sleep(0.05)
    return found


class NetworkNamespace:
    """A network namespace without a machine, for programs of the tests. It ends with this process at the latest."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen([*DIES_WITH_US, "unshare", "--net", "--", "sleep", "infinity"])
        eventually("a network namespace", self._is_apart)
        self.run("ip", "link", "set", "lo", "up")

    @property
    def pid(self) -> int:
        """The process that holds it."""
        return self._holder.pid

    def inside(self) -> list[str]:
        """Return the words that make a command run in it."""
        return ["nsenter", "--target", str(self.pid), "--net", "--"]

    def run(self, *command: str) -> None:
        subprocess.run([*self.inside(), *command], check=True)

    def end(self) -> None:
        self._holder.kill()
        self._holder.wait()

    def _is_apart(self) -> bool:
        return os.readlink(f"/proc/{self.pid}/ns/net") != os.readlink("/proc/self/ns/net")


class Switch:
    """A bridge in a network namespace of its own, which machines and their power cuts come and go from."""

    def __init__(self) -> None:
        self._namespace = NetworkNamespace()
        self._ports = 0
        self._ip("link", "add", "br0", "up", "type", "bridge")

    def plug(self, pid: int, address: str) -> None:
        """Give the network namespace of a process an eth0 with this address and, but for GATEWAY's, a default route."""
        self._ports += 1
        port = f"port{self._ports}"
        hardware = ":".join(["02:00", *(f"{int(part):02x}" for part in address.split("."))])  # a card keeps its own
        peer = ["peer", "name", "eth0", "netns", str(pid), "address", hardware]
        self._ip("link", "add", port, "up", "master", "br0", "type", "veth", *peer)
        inside = ["nsenter", "--target", str(pid), "--net", "ip"]
        route = [f"route add default via {GATEWAY}"] if address != GATEWAY else []
        for command in (f"addr add {address}/24 dev eth0", "link set eth0 up", *route):
            subprocess.run([*inside, *command.split()], check=True)

    def end(self) -> None:
        self._namespace.end()

    def _ip(self, *arguments: str) -> None:
        self._namespace.run("ip", *arguments)


class Machine:
    """A machine with a disk that outlives its power cuts. It runs nothing of ours until it is told to."""

    def __init__(self, name: str, address: str, folder: Path, shared: Path, switch: Switch) -> None:
        """folder: where the disk goes. shared: the folder that every machine has at /srv/felix."""
        self.name, self.address, self.shared = name, address, shared
        self._disk, self._switch = folder / name, switch
        self._first: int | None = None
        self._boot: subprocess.Popen[bytes] | None = None
        self._log = folder / f"{name}.boot.log"
        self.write("/etc/hostname", f"{name}\n")
        self.write("/etc/machine-id", hashlib.md5(f"{folder}/{name}".encode()).hexdigest() + "\n")
        for target in TARGETS:
            self.write(f"{UNITS}/{target}.target", "[Unit]\nDefaultDependencies=no\n")
        for unit in JOURNAL:
            self.write(f"{UNITS}/{unit}", Path("/lib/systemd/system", unit).read_text())
        self.write(f"{UNITS}/sysinit.target.d/journal.conf", f"[Unit]\nWants={' '.join(JOURNAL)}\n")
        self.write("/etc/systemd/journald.conf", ITS_SETTINGS)

    @property
    def pid(self) -> int:
        """The first process of the running machine."""
        assert self._first is not None
        return self._first

    def boot(self) -> None:
        self.power_on()
        self.wait_until_up()

    def power_on(self) -> None:
        name = f"{self.name}-{os.getpid()}"
        with self._log.open("ab") as log:
            self._boot = subprocess.Popen(
                [*DIES_WITH_US, BOOT, name, self._disk, self.shared], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def wait_until_up(self) -> None:
        """Return when systemd takes orders and the machine is on the switch."""
        self._first = eventually(f"{self.name} boots: {self._log.read_text()}", self._first_process)
        self._switch.plug(self._first, self.address)

    def power_cut(self) -> None:
        """End everything at once; only the disk stays."""
        if self._first is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._first, signal.SIGKILL)
        if self._boot is not None:
            self._boot.wait()
        self._first = self._boot = None
        _remove_cgroups(_cgroup_of(self.name))

    def discard(self) -> None:
        """Remove the disk of a machine that is off."""
        shutil.rmtree(self._disk)

    def write(self, path: str, text: str) -> None:
        place = self.path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def path(self, path: str) -> Path:
        """Return where the test finds what this machine keeps on its disk at `path`."""
        return self._disk / path.lstrip("/")

    def live_path(self, path: str) -> Path:
        """Return where the test finds any file of the running machine."""
        return Path(f"/proc/{self._first}/root{path}")

    def inside(self, *, online: bool = False) -> list[str]:
        """Return the words that make a command run in this machine. online: with this host's network instead."""
        spaces = "--mount --uts --ipc --pid --cgroup".split()  # noqa: SIM905
        return [
            "nsenter",
            "--target",
            str(self._first),
            *spaces,
            *([] if online else ["--net"]),
            f"--wdns={TREE}",
            "--",
        ]

    def run(
        self, *command: str, feed: str = "", online: bool = False, environment: dict[str, str] | None = None
    ) -> str:
        """Run a command in this machine; return its standard output. Raises AssertionError: it failed."""
        ran = self.try_run(*command, feed=feed, online=online, environment=environment)
        assert ran.returncode == 0, (
            f"{self.name}: {' '.join(command)} ended with {ran.returncode}: {ran.stdout}{ran.stderr}"
        )
        return ran.stdout

    def try_run(
        self, *command: str, feed: str = "", online: bool = False, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        own = {**os.environ} if online else {"HOME": "/root", "LANG": "C.UTF-8"}
        return subprocess.run(
            [*self.inside(online=online), *command],
            input=feed,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
            env={**own, "PATH": SEARCH_PATH, **(environment or {})},
        )

    @contextlib.contextmanager
    def running(self, *command: str) -> Iterator[None]:
        """Run a command in this machine meanwhile."""
        process = subprocess.Popen([*self.inside(), *command], stdin=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.terminate()
            process.wait()

    def sh(self, script: str, *, online: bool = False) -> str:
        return self.run("sh", "-ec", script, online=online)

    def log(self, unit: str) -> str:
        return self.run("journalctl", "--unit", unit, "--output", "cat", "--no-pager")

    def _first_process(self) -> int | None:
        """Return the process id of systemd, once it takes orders."""
        assert self._boot is not None
        assert self._boot.poll() is None, f"{self.name} does not boot: {self._log.read_text()}"
        with contextlib.suppress(OSError, IndexError):
            children = Path(f"/proc/{self._boot.pid}/task/{self._boot.pid}/children").read_text().split()
            first = int(children[0])
            if Path(f"/proc/{first}/root/run/systemd/private").is_socket():
                return first
        return None


def cgroups(name: str) -> list[Path]:
    """Return the cgroups of this process's machines of this name."""
    return _cgroups(_cgroup_of(name))


def _cgroup_of(name: str) -> str:
    return f"felix-{name}-{os.getpid()}"


def _cgroups(pattern: str) -> list[Path]:
    """Return the cgroups so named. Others may go while they are looked at, which `Path.glob` does not bear."""
    folders = ((folder, names) for folder, names, _ in os.walk("/sys/fs/cgroup"))
    return [Path(folder, name) for folder, names in folders for name in fnmatch.filter(names, pattern)]


def _remove_cgroups(name: str) -> None:
    """Remove what a machine's processes were grouped in; the kernel lets go of the last ones a little later."""

    def removed() -> bool:
        for top in _cgroups(name):
            _remove_folders(top)
        return not _cgroups(name)

    eventually(f"the cgroups of {name} are removed", removed)


def remove_leftovers() -> None:
    """Remove the cgroups of tests that were killed; everything else of theirs has ended with them."""
    for top in _cgroups("felix-*-*"):
        if not Path("/proc", top.name.rpartition("-")[2]).exists():
            _remove_folders(top)


def _remove_folders(top: Path) -> None:
    for folder, _, _ in os.walk(top, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(folder)


@contextlib.contextmanager
def machines(folder: Path, **addresses: str) -> Iterator[list[Machine]]:
    """Yield booted machines on one switch, with one folder /srv/felix; end all of them, whatever happens."""
    remove_leftovers()
    shared = folder / "shared"
    shared.mkdir(parents=True)
    switch = Switch()
    made = [Machine(name, address, folder, shared, switch) for name, address in addresses.items()]
    try:
        for machine in made:
            machine.boot()
        yield made
    finally:
        for machine in made:
            machine.power_cut()
        switch.end()
