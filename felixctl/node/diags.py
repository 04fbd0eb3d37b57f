"""`felixctl node diags`: a support bundle of this node in one archive, without secrets.

An edge. What can't be read is listed in the archive and by the command, and does not stop the rest.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from msgspec import Struct, field

from felixctl.errors import CommandError
from felixctl.node import kernel_tables, redaction, requirements
from felixctl.node.read_system import read_system
from felixctl.status_client import get_page
from felixctl.versions import client_version

COMMANDS = {
    "kernel/links.txt": ("ip", "-details", "-statistics", "link"),
    "kernel/addresses.txt": ("ip", "address"),
    "kernel/routes-ipv4.txt": ("ip", "-4", "route", "show", "table", "all"),
    "kernel/routes-ipv6.txt": ("ip", "-6", "route", "show", "table", "all"),
    "kernel/rules.txt": ("ip", "rule"),
    "kernel/neighbours.txt": ("ip", "neighbour"),
    "kernel/sockets.txt": ("ss", "-tlnpo"),  # with -i it prints the keys of TCP MD5, iproute2 6.1 without their name
    "kernel/nftables.txt": ("nft", "list", "ruleset"),
    "logs/journal.txt": ("journalctl", "--no-pager", "-n", "20000", "-u", "felix*"),
}
COUNTERS = ("net/snmp", "net/snmp6", "net/netstat", "net/sockstat", "net/softnet_stat", "meminfo", "loadavg", "version")
PAGES = {
    "agent/status.json": "/status",
    "agent/routes.json": "/routes",
    "agent/metrics.txt": "/metrics",
    "agent/ready.txt": "/readyz",
}
LOGS = (
    "/var/log/felix*.log",
    "/var/log/felix/*.log",
    "/var/log/agent.log",
    "/var/log/sidecar.log",
    "/var/log/pods/*felix*/*/*.log",
)
LONGEST_LOG = 5_000_000
"""Of a longer file only the end is taken."""
COMMAND_SECONDS = 10.0
_FIRST_WHOLE_LINE = re.compile(r"\A[^\n]*+\n?(?:[ \t][^\n]*+\n|\n)*")


class Archive(Struct):
    """The files of the archive, and what could not be read."""

    files: dict[str, str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)

    def add(self, name: str, reading: Callable[[], str]) -> None:
        """Read one file and leave its secrets out; if that fails, note why."""
        try:
            self.files[name] = redaction.text(reading())
        except (OSError, CommandError, subprocess.SubprocessError, ValueError) as error:
            self.unread.append(redaction.text(f"{name}: {' '.join(str(error).split())}"))


def collect(run_dir: Path, url: str, logs: Sequence[Path], root: Path = Path("/")) -> Archive:
    """Return everything that can be read on this node."""
    archive = Archive()
    archive.add("about.txt", _about)
    archive.add("system.txt", lambda: requirements.report(read_system(root=root)))
    for name, page in PAGES.items():
        archive.add(name, partial(get_page, run_dir, page))
    for name, command in COMMANDS.items():
        archive.add(name, partial(_output, name, command))
    for counter in COUNTERS:
        archive.add(f"proc/{counter}", (root / "proc" / counter).read_text)
    for path in (*logs, *_found(root, LOGS), *sorted((run_dir / "bgp").glob("*.conf"))):
        archive.add(f"logs/{str(path).lstrip('/')}", partial(_end_of, path))
    _add_records(archive, url)
    return archive


def logs_in(folder: Path) -> list[Path]:
    """Return the files of a folder, or the folder itself where it cannot be read, so that it is listed as unread."""
    try:
        return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else [folder]
    except OSError:
        return [folder]


def _about() -> str:
    name = os.uname()
    return (
        f"felixctl {client_version()}\nhost {name.nodename}\nkernel {name.release} {name.version}\n"
        f"time {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}\nuser {os.geteuid()}\n"
    )


def _output(name: str, command: Sequence[str]) -> str:
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    except FileNotFoundError:
        folder, _, table = name.removesuffix(".txt").partition("/")
        if folder != "kernel":
            raise CommandError(f"{command[0]} is not installed") from None
        return f"# {command[0]} is not installed; this was read without it\n{kernel_tables.listed(table)}"
    if ended.returncode:
        raise CommandError(f"{' '.join(command)} ended with {ended.returncode}: {ended.stderr.strip()[:200]}")
    return ended.stdout


def _found(root: Path, patterns: Sequence[str]) -> Iterator[Path]:
    for pattern in patterns:
        yield from sorted(root.glob(pattern.lstrip("/")))


def _end_of(path: Path) -> str:
    """Return the last whole lines of a file. A line that goes on with one that was cut off goes with it."""
    with path.open("rb") as file:
        cut = max(0, path.stat().st_size - LONGEST_LOG)
        file.seek(cut)
        text = file.read().decode(errors="replace")
    return _FIRST_WHOLE_LINE.sub("", text, count=1) if cut else text


def _add_records(archive: Archive, url: str) -> None:
    from datastore.errors import Forbidden
    from datastore.record import Resource
    from datastore.resources import KINDS
    from datastore.store import Listed, Store
    from felixctl.connection import reading
    from felixctl.resources.documents import to_yaml

    async def read(store: Store) -> dict[str, Listed[Resource]]:
        found: dict[str, Listed[Resource]] = {}
        for kind, model in KINDS.items():
            try:
                found[kind] = await store.list(model)
            except Forbidden as error:  # the account of an agent may list what an agent needs
                archive.unread.append(redaction.text(f"datastore: {error}"))
        return found

    try:
        found = reading(url, read)
    except CommandError as error:
        archive.unread.append(redaction.text(f"datastore: {error}"))
        return
    for kind, listed in found.items():
        archive.unread += [redaction.text(f"datastore: {record.reason}") for record in listed.unreadable]
        if listed.objects:
            records = [redaction.record(resource.to_json()) for resource in listed.objects]
            archive.files[f"datastore/{kind}.yaml"] = to_yaml(records)


def write(archive: Archive, path: Path) -> None:
    """Write the archive, for its owner only. Raises CommandError: it exists already, or can't be written."""
    folder = path.name.removesuffix(".tar.gz")
    files = {**archive.files, "unread.txt": "".join(f"{line}\n" for line in archive.unread)}
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
            for name in sorted(files):
                content = files[name].encode()
                entry = tarfile.TarInfo(f"{folder}/{name}")
                entry.size, entry.mtime, entry.mode = len(content), int(time.time()), 0o600
                tar.addfile(entry, io.BytesIO(content))
    except OSError as error:
        raise CommandError(f"write {path}: {error.strerror}; nothing was collected; name another place by -o") from None


def summary(archive: Archive, path: Path) -> str:
    """Return what the command prints at its end."""
    unread = "".join(f"  {line}\n" for line in archive.unread)
    missing = f"Could not be read:\n{unread}" if unread else ""
    return f"{missing}{len(archive.files)} files are in {path}; secrets were left out; check it before you send it.\n"


def usual_name(now: float) -> str:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    return f"felix-diags-{os.uname().nodename}-{stamp}.tar.gz"
