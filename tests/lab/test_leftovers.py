"""What counts as left behind by a lab, on a host where other programs run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from msgspec.structs import replace

from lab.leftovers import HostListing, Process, held_namespaces, leftovers, listing, namespaces_of
from lab.verdict import attributable

INIT = Process(1, "1", 0, "init", ("net:[1]",))
SHELL = Process(50, "5", 1, "sh", ("net:[1]",))
US = Process(os.getpid(), "7", 50, "felixctl", ("net:[1]",))


def host(*processes: Process, links: set[str] | None = None, files: set[str] | None = None) -> HostListing:
    return HostListing(
        processes={(each.pid, each.began): each for each in (INIT, SHELL, US, *processes)},
        links=frozenset(links or ()),
        mounts=frozenset(),
        files=frozenset(files or ()),
    )


@contextmanager
def apart() -> Iterator[int]:
    """Yield the PID of a process that has namespaces of its own, until it has ended."""
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", "echo there; exec cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline()
        yield process.pid


def test_a_still_host_has_no_leftovers() -> None:
    now = listing()
    assert leftovers(now, now) == []


def test_an_orphan_and_its_namespace_are_left_behind() -> None:
    orphan = Process(900, "9", 1, "python -m felix_py", ("net:[2]",), marked=True)
    assert leftovers(host(), host(orphan)) == ["process 900: python -m felix_py", "namespace net:[2]"]


def test_a_child_of_ours_is_left_behind_and_a_child_of_another_process_is_not() -> None:
    ours = Process(901, "9", os.getpid(), "nsenter", ())
    other = Process(902, "9", 50, "vi", ("net:[3]",))
    assert leftovers(host(), host(ours, other)) == ["process 901: nsenter"]


def test_an_orphan_without_a_mark_is_not_ours() -> None:
    assert leftovers(host(), host(Process(904, "9", 1, "cron", ("net:[1]",)))) == []


def test_a_marked_process_of_another_users_lab_is_not_ours() -> None:
    assert leftovers(host(), host(Process(905, "9", 50, "python -m bgp", ("net:[4]",), marked=True))) == []


def test_a_process_in_a_namespace_of_the_lab_is_left_behind_whatever_its_parents() -> None:
    adopted = Process(903, "9", 50, "bird", ("user:[7]",))
    assert "process 903: bird" in leftovers(host(), host(adopted), frozenset({"user:[7]"}))


def test_no_other_namespace_has_the_name_of_one_that_is_held() -> None:
    """Where it is not held, one of the next has its name."""
    with ExitStack() as held:
        with apart() as pid:
            own = held.enter_context(held_namespaces(pid)) - namespaces_of(os.getpid())
        assert own
        for _ in range(20):
            with apart() as pid:
                assert not own & namespaces_of(pid)


def test_a_pid_that_is_used_again_is_another_process() -> None:
    before, after = host(Process(900, "9", 1, "old", ())), host(Process(900, "99", 1, "new", (), marked=True))
    assert leftovers(before, after) == ["process 900: new"]


def test_links_and_files_are_left_behind() -> None:
    after = host(links={"cali1"}, files={"/run/felix"})
    assert leftovers(host(), after) == ["link cali1", "file /run/felix"]


def test_what_no_lab_writes_or_mounts_is_reported_but_not_attributed_to_the_lab() -> None:
    written = {"/dev/shm/x", "/run/felix", "/run/xtables.lock", "/tmp/x"}
    mounted = {"/mnt (/)", "/srv/images/overlay/9/merged (/)"}
    found = leftovers(host(), replace(host(files=written), mounts=frozenset(mounted)))
    assert found == [*(f"mount {each}" for each in sorted(mounted)), *(f"file {path}" for path in sorted(written))]
    assert attributable(found) == ["mount /mnt (/)", "file /run/felix"]
