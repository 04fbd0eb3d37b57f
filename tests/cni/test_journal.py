"""What the journal acknowledged survives every crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cni.attachment import Attachment, PodRef
from cni.journal import Journal, PendingRelease


def pending(number: int) -> PendingRelease:
    return PendingRelease(Attachment("net", f"c{number}", "eth0"), PodRef("default", f"pod-{number}"))


def test_what_is_added_is_there_after_a_restart_until_it_is_removed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "state" / "released.journal")
    for number in (1, 2, 1, 3):
        journal.add(pending(number))
    again = Journal(tmp_path / "state" / "released.journal")
    assert again.pending == (pending(1), pending(2), pending(3))
    assert again.pending_of("c2") == (pending(2),)
    again.remove([pending(2)])
    again.add(pending(4))
    assert Journal(tmp_path / "state" / "released.journal").pending == (pending(1), pending(3), pending(4))


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_line_cut_short_loses_only_itself(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "released.journal"
    Journal(path).add(pending(1))
    whole = path.stat().st_size
    Journal(path).add(pending(2))
    os.truncate(path, whole + min(cut, path.stat().st_size - whole - 1))
    journal = Journal(path)
    assert journal.pending[0] == pending(1)
    journal.add(pending(3))
    assert Journal(path).pending[-1] == pending(3)


@pytest.mark.parametrize(
    "line", [b"7", b"{}", b"[1, 2, 3, 4, 5, 6]", b'"abcdef"', b"[" * 100_000, b"\0" * 4096, b"\xff"]
)
def test_a_line_that_is_not_ours_loses_only_itself(
    tmp_path: Path, line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "released.journal"
    Journal(path).add(pending(1))
    with path.open("ab") as file:
        file.write(line + b"\n")
    Journal(path).add(pending(2))
    assert Journal(path).pending == (pending(1), pending(2))
    is_json = line in (b"7", b"{}", b"[1, 2, 3, 4, 5, 6]", b'"abcdef"')
    assert (
        f"{path}: a line that is no release is passed over: {line.decode(errors='replace')}" in caplog.text
    ) == is_json


def test_nothing_that_was_acknowledged_is_lost_by_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "released.journal"
    program = (
        "import sys; from pathlib import Path; from cni.journal import *; from cni.attachment import *\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "for n in range(100000):\n"
        "    journal.add(PendingRelease(Attachment('net', f'c{n}', 'eth0'), PodRef('default', f'pod-{n}')))\n"
        "    if n % 3 == 0: journal.remove(journal.pending[:1])\n"
        "    print(n, flush=True)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True)
    assert writer.stdout
    acknowledged = -1
    for line in writer.stdout:
        acknowledged = int(line)
        if acknowledged == 60:
            writer.send_signal(signal.SIGKILL)
    writer.wait()
    kept = {int(one.attachment.container_id[1:]) for one in Journal(path).pending}
    assert acknowledged in kept
    assert kept >= set(range(max(kept) - len(kept) + 1, acknowledged + 1))


def test_a_release_that_the_disk_refuses_is_not_in_the_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "released.journal")
    (tmp_path / "released.journal").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        journal.add(pending(1), pending(2))
    assert journal.pending == ()


def test_many_are_written_with_one_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, synced = tmp_path / "released.journal", list[int]()
    journal = Journal(path)
    journal.add(pending(1))
    monkeypatch.setattr(os, "fsync", synced.append)
    journal.add(*map(pending, range(100)))
    assert len(synced) == 1
    assert Journal(path).pending == (pending(1), pending(0), *map(pending, range(2, 100)))
