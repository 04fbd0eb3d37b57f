"""Commands measured from start to end, with what is run beside them."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from bench import full_cluster
from bench.cli import Runs, commands, measure
from bench.rig import rig
from bench.routers import Ours


async def filled(folder: Path) -> str:
    await full_cluster.write_file(folder / "cluster.db", nodes=1)
    return f"sqlite://{folder}/cluster.db"


def test_each_command_has_its_rows_beside_its_peers(tmp_path: Path) -> None:
    url = asyncio.run(filled(tmp_path))
    with rig(Ours, 1) as made:
        made.start()
        made.router.ready()
        rows = measure(url, url, made.router.folder / "run", rounds=1)
    assert len({row.name for row in rows}) == len(rows) == 2 * len(list(commands(url, url))) + 2
    assert [row.unit for row in rows if "memory" in row.name] == ["MB"] * 2
    assert all(row.ours > 0 and row.ratio for row in rows)


def test_a_command_that_fails_ends_the_run(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out, pytest.raises(RuntimeError, match="ended with status 3"):
        Runs().run((sys.executable, "-c", "raise SystemExit(3)"), dict(os.environ), out.fileno())
