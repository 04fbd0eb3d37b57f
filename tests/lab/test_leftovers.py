"""What counts as left behind by a lab, on a host where others live too."""

from __future__ import annotations

import os

from lab.leftovers import HostListing, Process, leftovers, listing
from lab.verdict import attributable

INIT = Process(1, "1", 0, "init", ("net:[1]",))
SHELL = Process(50, "5", 1, "sh", ("net:[1]",))
US = Process(os.getpid(), "7", 50, "felixctl", ("net:[1]",))


def world(*processes: Process, links: set[str] | None = None, files: set[str] | None = None) -> HostListing:
    return HostListing(
        processes={(each.pid, each.began): each for each in (INIT, SHELL, US, *processes)},
        links=frozenset(links or ()),
        mounts=frozenset(),
        files=frozenset(files or ()),
    )


def test_a_still_host_has_no_leftovers() -> None:
    now = listing()
    assert leftovers(now, now) == []


def test_an_orphan_and_its_namespace_are_left_behind() -> None:
    orphan = Process(900, "9", 1, "python -m felix_py", ("net:[2]",), marked=True)
    assert leftovers(world(), world(orphan)) == ["process 900: python -m felix_py", "namespace net:[2]"]


def test_a_child_of_ours_is_left_behind_and_a_child_of_somebody_else_is_not() -> None:
    ours = Process(901, "9", os.getpid(), "nsenter", ())
    other = Process(902, "9", 50, "vi", ("net:[3]",))
    assert leftovers(world(), world(ours, other)) == ["process 901: nsenter"]


def test_an_orphan_of_somebody_else_is_not_ours() -> None:
    assert leftovers(world(), world(Process(904, "9", 1, "cron", ("net:[1]",)))) == []


def test_a_marked_process_of_a_lab_that_somebody_else_runs_is_not_ours() -> None:
    assert leftovers(world(), world(Process(905, "9", 50, "python -m bgp", ("net:[4]",), marked=True))) == []


def test_whoever_is_in_a_namespace_of_the_lab_is_left_behind_whatever_its_parents() -> None:
    adopted = Process(903, "9", 50, "bird", ("user:[7]",))
    assert "process 903: bird" in leftovers(world(), world(adopted), frozenset({"user:[7]"}))


def test_a_pid_that_came_round_again_is_another_process() -> None:
    before, after = world(Process(900, "9", 1, "old", ())), world(Process(900, "99", 1, "new", (), marked=True))
    assert leftovers(before, after) == ["process 900: new"]


def test_links_and_files_are_left_behind() -> None:
    after = world(links={"cali1"}, files={"/run/felix"})
    assert leftovers(world(), after) == ["link cali1", "file /run/felix"]


def test_a_new_file_in_tmp_is_told_but_not_held_against_the_lab() -> None:
    found = leftovers(world(), world(files={"/tmp/x", "/run/x"}))
    assert (found, attributable(found)) == (["file /run/x", "file /tmp/x"], ["file /run/x"])
