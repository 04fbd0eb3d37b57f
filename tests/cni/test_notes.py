"""What the shim noted while no agent listened is taken up at the start, before a request is served."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from cni.errors import CniError, Code
from cni.journal import PendingRelease
from cni.notes import Notes
from cni.request import CniRequest
from kernel import kept_paths
from kernel.path_watch import PathWatch
from tests.cni.conftest import call
from tests.cni.node import on_a_node, serving_node, until


class Recorder:
    """Carries out what it does not refuse, and remembers it."""

    def __init__(self, *refused: str) -> None:
        self.refused, self.done, self.journaled = refused, list[str](), list[list[str]]()

    async def take_up(self, request: CniRequest, releases: list[PendingRelease]) -> None:
        if request.attachment.container_id in self.refused:
            raise CniError(Code.TRY_AGAIN, "refused by the test")
        self.done.append(request.attachment.container_id)
        releases.append(PendingRelease(request.attachment, request.pod))

    def journal(self, releases: Sequence[PendingRelease]) -> None:
        if "the journal" in self.refused:
            raise CniError(Code.TRY_AGAIN, "the disk is full")
        self.journaled.append([one.attachment.container_id for one in releases])


def note(folder: Path, container: str, verb: str = "DEL", name: str = "", pod: str = "") -> None:
    """pod: its name, else that of the container."""
    asked = f"K8S_POD_NAMESPACE=default;K8S_POD_NAME={pod or container};K8S_POD_INFRA_CONTAINER_ID={container}"
    environment = call(verb, CNI_CONTAINERID=container, CNI_NETNS="/n", CNI_ARGS=asked)
    packed = b"".join(f"{key}={value}\0".encode() for key, value in environment.items())
    stdin = b'{"cniVersion":"1.0.0","name":"net"}'
    (folder / "deletes" / (name or container)).write_bytes(packed + b"\0" + stdin)


async def test_notes_are_taken_up_and_removed_and_what_fails_stays(tmp_path: Path) -> None:
    notes, verbs = Notes(tmp_path), Recorder("c2")
    for container in ("c1", "c2", "c3"):
        note(tmp_path, container)
    await notes.take_up(verbs)
    assert verbs.done == ["c1", "c3"]
    assert verbs.journaled == [["c1", "c3"]]
    assert [path.name for path in (tmp_path / "deletes").iterdir()] == ["c2"]


async def test_all_stay_where_the_journal_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notes, verbs = Notes(tmp_path), Recorder("the journal")
    note(tmp_path, "c1")
    note(tmp_path, "c2")
    await notes.take_up(verbs)
    assert sorted(path.name for path in (tmp_path / "deletes").iterdir()) == ["c1", "c2"]
    assert f"DELs noted in {tmp_path}/deletes: the disk is full" in caplog.text


async def test_what_its_shim_takes_back_is_left_to_that_shim(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It asks the agent by itself: one before its note is read, one before that is removed."""

    class TakenBack(Recorder):
        async def take_up(self, request: CniRequest, releases: list[PendingRelease]) -> None:
            (tmp_path / "deletes" / "c1").unlink()
            (tmp_path / "deletes" / "c2").unlink()
            await super().take_up(request, releases)

    notes, verbs = Notes(tmp_path), TakenBack()
    for number, container in enumerate(("c1", "c2")):
        note(tmp_path, container)
        os.utime(tmp_path / "deletes" / container, (number, number))
    await notes.take_up(verbs)
    assert verbs.done == ["c1"]
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


async def test_a_note_that_cannot_be_removed_cuts_no_other_short(tmp_path: Path) -> None:
    class Removing(Recorder):
        async def take_up(self, request: CniRequest, releases: list[PendingRelease]) -> None:
            if request.pod.name == "first":
                (tmp_path / "deletes" / "c1").unlink()
                (tmp_path / "deletes" / "c1").mkdir()
            await super().take_up(request, releases)

    notes, verbs = Notes(tmp_path), Removing()
    note(tmp_path, "c1", pod="first")
    note(tmp_path, "c2", pod="second")
    with pytest.raises(OSError, match="deletes/c1"):
        await notes.take_up(verbs)
    left = [path.name for path in (tmp_path / "deletes").iterdir()]
    assert (sorted(verbs.done), left) == (["c1", "c2"], ["c1"])


async def test_what_is_no_note_of_a_del_is_dropped(tmp_path: Path) -> None:
    notes, verbs = Notes(tmp_path), Recorder()
    (tmp_path / "deletes" / "cut-short").write_bytes(b"CNI_COMMAND=DEL")
    note(tmp_path, "c1", name=".4711")  # a shim was killed while it wrote
    os.utime(tmp_path / "deletes" / ".4711", (0, 0))
    note(tmp_path, "c1", name=".4712")  # this one writes
    note(tmp_path, "c2", verb="ADD")
    await notes.take_up(verbs)
    assert (verbs.done, [path.name for path in (tmp_path / "deletes").iterdir()]) == ([], [".4712"])


async def test_what_cannot_be_read_cuts_no_other_short(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notes, verbs = Notes(tmp_path), Recorder()
    (tmp_path / "deletes" / "lost+found").mkdir()
    note(tmp_path, "c1")
    await notes.take_up(verbs)
    assert (verbs.done, [path.name for path in (tmp_path / "deletes").iterdir()]) == (["c1"], ["lost+found"])
    assert "deletes/lost+found'; if it is the note of a DEL" in caplog.text


async def test_a_folder_that_somebody_removes_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kept_paths, "LEAST_SECONDS", 0.01)
    folder = tmp_path / "deletes"
    with PathWatch() as watch:
        keeping = asyncio.create_task(Notes(tmp_path).keep(watch))
        await asyncio.sleep(0)
        for _ in range(2):
            folder.rmdir()
            await until(folder.exists)
        keeping.cancel()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert f"{folder} was removed by somebody" in caplog.text


@on_a_node
async def test_a_del_while_the_agent_is_away_succeeds_and_is_carried_out_at_its_next_start(
    shim: Path, tmp_path: Path
) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox()
        await node.add(pod)
        await node.server.stop()
        await node.delete(pod)
        assert await node.assigned(pod)
    async with serving_node(shim, tmp_path, url=f"sqlite://{tmp_path}/cluster.db") as node:
        assert list((tmp_path / "deletes").iterdir()) == []
        await node.clean_up()
        assert await node.holds_nothing()
