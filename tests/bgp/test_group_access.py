from __future__ import annotations

import os
from pathlib import Path

import pytest

from bgp.exabgp_supervisor import write_private
from bgp.group_access import group_comes_in


@pytest.mark.parametrize(
    ("mode", "comes_in"), [(0o700, False), (0o750, False), (0o755, False), (0o770, True), (0o775, True)], ids=oct
)
def test_a_group_that_may_do_all_in_a_folder_may_read_its_private_files(
    tmp_path: Path, mode: int, comes_in: bool
) -> None:
    tmp_path.chmod(mode)
    assert group_comes_in(tmp_path) is comes_in
    written = write_private(tmp_path / "exabgp.conf", "password")
    assert written.stat().st_mode & 0o777 == (0o640 if comes_in else 0o600)


def test_a_folder_of_another_group_does_not_let_this_one_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o770)
    another = os.getegid() + 1
    monkeypatch.setattr(os, "getegid", lambda: another)
    assert not group_comes_in(tmp_path)
