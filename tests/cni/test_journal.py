"""What DELs owe survives every crash of the one who wrote it down."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cni.journal import Journal, PendingRelease
from cni.protocol import Attachment, PodRef


def owed(number: int) -> PendingRelease:
    return PendingRelease(Attachment("net", f"c{number}", "eth0"), PodRef("default", f"pod-{number}"))


def test_what_is_added_is_there_after_a_restart_until_it_is_settled(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "state" / "owed.journal")
    for number in (1, 2, 1, 3):
        journal.add(owed(number))
    again = Journal(tmp_path / "state" / "owed.journal")
    assert again.pending == (owed(1), owed(2), owed(3))
    assert again.pending_of("c2") == (owed(2),)
    again.remove([owed(2)])
    again.add(owed(4))
    assert Journal(tmp_path / "state" / "owed.journal").pending == (owed(1), owed(3), owed(4))


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_line_cut_short_loses_only_itself(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "owed.journal"
    Journal(path).add(owed(1))
    whole = path.stat().st_size
    Journal(path).add(owed(2))
    os.truncate(path, whole + min(cut, path.stat().st_size - whole - 1))
    journal = Journal(path)
    assert journal.pending[0] == owed(1)
    journal.add(owed(3))
    assert Journal(path).pending[-1] == owed(3)


def test_nothing_that_was_promised_is_lost_by_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "owed.journal"
    program = (
        "import sys; from pathlib import Path; from cni.journal import *; from cni.protocol import *\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "for n in range(100000):\n"
        "    journal.add(PendingRelease(Attachment('net', f'c{n}', 'eth0'), PodRef('default', f'pod-{n}')))\n"
        "    if n % 3 == 0: journal.remove(journal.pending[:1])\n"
        "    print(n, flush=True)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True)
    assert writer.stdout
    promised = -1
    for line in writer.stdout:
        promised = int(line)
        if promised == 60:
            writer.send_signal(signal.SIGKILL)
    writer.wait()
    kept = {int(one.attachment.container_id[1:]) for one in Journal(path).pending}
    assert promised in kept
    assert kept >= set(range(max(kept) - len(kept) + 1, promised + 1))


def test_a_disk_that_refuses_keeps_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "owed.journal")
    (tmp_path / "owed.journal").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        journal.add(owed(1))
    assert journal.pending == ()
