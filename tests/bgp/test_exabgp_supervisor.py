"""ExaBGP's process under our care, with real sessions between real ExaBGPs (tests/bgp/network.py has the drawing)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from bgp import events, exabgp_commands, exabgp_supervisor
from bgp.events import (
    EndOfRib,
    PeerConnected,
    PeerDown,
    PeerUp,
    SpeakerStarted,
    SpeakerStopped,
    UpdatesReceived,
)
from bgp.exabgp_process import ConfigurationRefused, ExaBGPError, OtherReleaseInstalled
from bgp.exabgp_supervisor import ExaBGP
from bgp.speaker import Speaker
from net.prefix import Prefix
from tests.bgp.exabgp_nodes import (
    BLOCK,
    OURS,
    PATIENCE,
    address,
    gone,
    mesh,
    node,
    peer,
    session,
    speaker,
    update,
    with_neighbour,
)
from tests.bgp.network import ip, own_network
from tests.felix_py.fakes import until
from tests.processes import children


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    with own_network():
        yield


async def test_two_exabgps_exchange_a_prefix_of_each_family(tmp_path: Path) -> None:
    async with mesh(tmp_path, 1, 2) as (one, two):
        assert await one.exabgp.send(exabgp_commands.announce(OURS)) == [True, True]
        assert await one.exabgp.send(exabgp_commands.end_of_rib({address(2): ("ipv4", "ipv6")})) == [True, True]
        await two.wait_for(EndOfRib(address(1), "ipv6"))
        assert two.routes(1) == OURS
        assert await one.exabgp.send(exabgp_commands.withdraw(OURS)) == [True, True]
        await two.wait_until(lambda: not two.routes(1))


async def test_an_end_of_rib_for_several_peers_reaches_each_of_them_and_no_other(tmp_path: Path) -> None:
    async with mesh(tmp_path, 1, 2, 3, 4) as (one, two, three, four):
        end = f"neighbor {address(2)} , neighbor {address(3)} announce eor ipv4 unicast"
        assert await one.exabgp.send([end]) == [True]
        await two.wait_for(EndOfRib(address(1), "ipv4"))
        await three.wait_for(EndOfRib(address(1), "ipv4"))
        # What comes behind it shows that none was under way to the fourth.
        assert await one.exabgp.send(exabgp_commands.announce(OURS)) == [True, True]
        await four.wait_until(lambda: four.routes(1) == OURS)
        assert not any(isinstance(event, EndOfRib) for event in four.events)


async def test_a_route_announced_before_the_session_is_up_arrives_with_it(tmp_path: Path) -> None:
    async with node(tmp_path / "1") as one, node(tmp_path / "2") as two:
        await one.exabgp.reload(speaker(1, 2))
        await one.wait_for(SpeakerStarted())
        assert await one.exabgp.send(exabgp_commands.announce(OURS)) == [True, True]
        await two.exabgp.reload(speaker(2, 1))
        await two.wait_until(lambda: two.routes(1) == OURS)
        assert not any(isinstance(event, EndOfRib) for event in two.events)


async def test_a_command_reaches_exactly_the_neighbours_that_it_names(tmp_path: Path) -> None:
    private, shared = Prefix.parse("10.65.2.0/26"), Prefix.parse("10.65.3.0/26")
    ours = OURS[BLOCK]
    async with mesh(tmp_path, 1, 2, 3) as (one, two, three):
        lines = exabgp_commands.announce({private: ours}, to=[address(2)])
        lines += exabgp_commands.announce({shared: ours}, to=[address(2), address(3)])
        assert await one.exabgp.send(lines) == [True, True]
        await two.wait_until(lambda: two.routes(1).keys() == {private, shared})
        await three.wait_until(lambda: shared in three.routes(1))
        assert three.routes(1).keys() == {shared}
        assert await one.exabgp.send(exabgp_commands.withdraw({shared: ours}, to=[address(3)])) == [True]
        await three.wait_until(lambda: not three.routes(1))
        assert two.routes(1).keys() == {private, shared}


async def test_each_command_is_answered_on_its_own(tmp_path: Path) -> None:
    async with mesh(tmp_path, 1, 2) as (one, _):
        host_bits_set = "announce route 10.65.1.1/26 next-hop 10.9.0.1"
        good = "announce route 10.65.1.64/26 next-hop 10.9.0.1"
        assert await one.exabgp.send([good, host_bits_set, good]) == [True, False, True]
        assert await one.exabgp.send([]) == []


async def test_sessions_that_stay_do_not_flap_when_others_come_and_go(tmp_path: Path) -> None:
    async with mesh(tmp_path, 1, 2) as (one, two), node(tmp_path / "3") as three:
        await three.exabgp.reload(speaker(3, 1))
        pid = one.exabgp.pid
        for peers in [(2, 3), (2,), (2, 3)]:
            quiet_since = len(one.events)
            await one.exabgp.reload(speaker(1, *peers))
            await one.wait_for(PeerUp(address(3)) if 3 in peers else gone(3), after=quiet_since)
        assert PeerDown(address(2), "closing connection") not in one.events
        assert [event for event in one.events if isinstance(event, PeerUp) and event.peer == address(2)] == [
            PeerUp(address(2))
        ]
        assert not [event for event in two.events[two.events.index(PeerUp(address(1))) :] if gone(1)(event)]
        assert one.exabgp.pid == pid


async def test_the_same_speaker_again_changes_nothing(tmp_path: Path) -> None:
    async with mesh(tmp_path, 1, 2) as (one, _):
        changed = (tmp_path / "1" / "exabgp.conf").stat().st_mtime_ns
        await one.exabgp.reload(speaker(1, 2))
        assert (tmp_path / "1" / "exabgp.conf").stat().st_mtime_ns == changed


async def test_a_changed_session_comes_back_with_the_change(tmp_path: Path) -> None:
    async with mesh(tmp_path, 1, 2) as (one, two):
        before = len(two.events)
        await one.exabgp.reload(with_neighbour(speaker(1, 2), hold_time=33))
        await two.wait_for(PeerUp(address(1)), after=before)
        opened = [event for event in two.events[before:] if isinstance(event, events.PeerOpen)]
        assert opened[-1].hold_time == 33


async def test_what_is_in_vain_by_the_end_of_its_check_changes_nothing(tmp_path: Path) -> None:
    async with mesh(tmp_path, 1, 2) as (one, _):
        before, file = len(one.events), (tmp_path / "1" / "exabgp.conf").read_bytes()
        assert not await one.exabgp.reload(with_neighbour(speaker(1, 2), hold_time=33), lambda: True)
        assert (tmp_path / "1" / "exabgp.conf").read_bytes() == file
        assert await one.exabgp.reload(speaker(1, 2), lambda: True)
        assert await one.exabgp.send(["version"]) == [True]
        assert not any(map(gone(2), one.events[before:]))


async def test_a_passive_session_made_active_dials(tmp_path: Path) -> None:
    # ExaBGP forgets to, unless the session was gone in between.
    async with node(tmp_path / "1") as one, node(tmp_path / "2") as two:
        await one.exabgp.reload(speaker(1, 2))
        await one.wait_for(SpeakerStarted())
        await one.exabgp.reload(with_neighbour(speaker(1, 2), passive=False))
        await two.exabgp.reload(with_neighbour(speaker(2, 1), passive=True))
        await two.wait_for(PeerUp(address(1)))
        assert one.events.count(SpeakerStarted()) == 1


async def test_a_refused_configuration_leaves_the_sessions_and_later_reloads_alone(tmp_path: Path) -> None:
    async with mesh(tmp_path, 1, 2) as (one, _), node(tmp_path / "3") as three:
        with pytest.raises(ExaBGPError, match=r"holdtime must be .*at least 3 seconds.*stays in force"):
            await one.exabgp.reload(with_neighbour(speaker(1, 2), hold_time=1))
        assert await one.exabgp.send(["version"]) == [True]
        await three.exabgp.reload(speaker(3, 1))
        await one.exabgp.reload(speaker(1, 2, 3))
        await one.wait_for(PeerUp(address(3)))
        assert not any(map(gone(2), one.events[one.events.index(PeerUp(address(2))) :]))


async def test_an_address_that_the_node_lacks_costs_the_others_no_session_and_is_listened_on_once_it_is_there(
    tmp_path: Path,
) -> None:
    late = "fd09::77"
    both = replace(speaker(1, 2), listen=(address(1), late))
    async with node(tmp_path / "1", idle_seconds=0.1) as one, node(tmp_path / "2") as two:
        await one.exabgp.reload(both)
        await two.exabgp.reload(speaker(2, 1))
        await one.wait_for(PeerUp(address(2)))
        [started] = [event for event in one.events if isinstance(event, SpeakerStarted)]
        assert started.problem.startswith(f"listen on {late}: this node does not have the address")
        before = len(one.events)
        ip(f"address add {late}/128 dev lo nodad")
        await one.wait_for(SpeakerStarted(), after=before)
        await one.wait_for(PeerUp(address(2)), after=before)
        stopped = next(event for event in one.events[before:] if isinstance(event, SpeakerStopped))
        assert stopped.reason == f"killed, because it is to listen on {late}, which the node has now"
        socket.create_connection((late, 179)).close()


async def test_the_sessions_that_exabgp_refuses_are_found_among_many(tmp_path: Path) -> None:
    good = speaker(1, 2, 3, 4, 5)
    two, three, *others = good.neighbours
    some_bad = replace(
        good, neighbours=(two, replace(three, hold_time=1), *others, replace(session(1, 6), peer_as=1 << 33))
    )
    async with mesh(tmp_path, 1, 2) as (one, _):
        assert await one.exabgp.refused_sessions(good) == {}
        refused = await one.exabgp.refused_sessions(some_bad)
        assert refused.keys() == {address(3), address(6)}
        assert "at least 3 seconds" in refused[address(3)]
        assert one.is_up(2)


async def test_a_full_disk_is_reported_and_leaves_the_sessions_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with mesh(tmp_path, 1, 2) as (one, _):
        with monkeypatch.context() as patched:
            patched.setattr(exabgp_supervisor, "write_private", full)
            with pytest.raises(ExaBGPError, match=r"write .*/exabgp\.conf: No space left on device"):
                await one.exabgp.reload(speaker(1, 2, 3))
        await one.exabgp.reload(speaker(1, 2, 4))
        assert one.is_up(2)


async def test_nothing_starts_with_a_refused_configuration(tmp_path: Path) -> None:
    before = children()
    async with node(tmp_path) as one:
        with pytest.raises(ConfigurationRefused, match=r"holdtime must be .*at least 3 seconds.*it is not started"):
            await one.exabgp.reload(with_neighbour(speaker(1, 2), hold_time=1))
        assert one.exabgp.pid is None and children() == before
        assert not (tmp_path / "exabgp.conf").exists()
        await one.exabgp.reload(speaker(1, 2))
        await one.wait_for(SpeakerStarted())
        assert one.events == [SpeakerStarted()]


async def test_the_first_process_is_its_own_check_of_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(*_: object) -> str:
        raise AssertionError("an interpreter is started for a check")

    monkeypatch.setattr(ExaBGP, "_refusal", check)
    async with mesh(tmp_path, 1, 2):
        pass


async def test_until_there_is_a_configuration_a_process_waits_that_has_no_socket(tmp_path: Path) -> None:
    before = children()
    async with node(tmp_path) as one:
        [waiting] = children() - before
        descriptors = {os.readlink(each) for each in Path(f"/proc/{waiting}/fd").iterdir()}
        assert not [each for each in descriptors if each.startswith("socket:")]
        assert one.exabgp.pid is None
        await one.exabgp.reload(speaker(1, 2))
        await one.wait_for(SpeakerStarted())
        assert one.exabgp.pid == int(waiting)
    assert children() == before


async def test_a_process_that_was_killed_while_it_waited_is_replaced(tmp_path: Path) -> None:
    before = children()
    async with node(tmp_path) as one:
        [waiting] = children() - before
        os.kill(int(waiting), signal.SIGKILL)
        await one.exabgp.reload(speaker(1, 2))
        await one.wait_for(SpeakerStarted(), after=await one.wait_for(SpeakerStopped("it was ended by SIGKILL")))


async def test_what_cannot_be_started_beforehand_is_started_with_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = children()
    with monkeypatch.context() as patched:
        patched.setattr(exabgp_supervisor, "launcher", lambda *_: [str(tmp_path / "none")])
        exabgp = await ExaBGP(tmp_path).__aenter__()
    try:
        assert children() == before
        await exabgp.reload(speaker(1, 2))
        assert await anext(exabgp.events()) == SpeakerStarted()
    finally:
        await exabgp.__aexit__()


async def test_a_first_start_that_is_given_up_leaves_no_process(tmp_path: Path) -> None:
    before = children()
    async with node(tmp_path) as one:
        starting = asyncio.create_task(one.exabgp.reload(speaker(1, 2)))
        await until((tmp_path / "exabgp.conf").exists)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert children() == before


async def test_what_has_just_started_ends_with_its_context(tmp_path: Path) -> None:
    before = children()
    async with node(tmp_path) as one:
        await one.exabgp.reload(speaker(1, 2))
        assert children() != before
    assert children() == before


async def test_a_file_that_is_spoilt_under_a_running_process_is_refused_at_the_next_start(tmp_path: Path) -> None:
    async with mesh(tmp_path, 1, 2) as (one, _):
        assert one.exabgp.pid
        (tmp_path / "1" / "exabgp.conf").write_text("neighbor {")
        os.kill(one.exabgp.pid, signal.SIGKILL)
        killed = await one.wait_for(SpeakerStopped("it was ended by SIGKILL"))
        refused = await one.wait_for(lambda event: isinstance(event, SpeakerStopped), after=killed)
        stopped = one.events[refused - 1]
        assert isinstance(stopped, SpeakerStopped) and stopped.final
        assert stopped.reason.startswith("it refuses its configuration: ")


async def test_a_reload_that_fails_all_the_same_is_cured_by_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with mesh(tmp_path, 1, 2) as (one, _):
        write, spoilt = exabgp_supervisor.write_private, list[int]()

        def spoil_once(path: Path, text: str) -> Path:
            written = write(path, text)
            if len(spoilt) < 2:  # the candidate, and the file put in place
                spoilt.append(path.write_text("neighbor {"))
            return written

        async def accept(*_: object) -> None:
            return None

        monkeypatch.setattr(exabgp_supervisor, "write_private", spoil_once)
        monkeypatch.setattr(ExaBGP, "_refusal", accept)
        await one.exabgp.reload(speaker(1, 2, 3))
        stopped = await one.wait_for(lambda event: isinstance(event, SpeakerStopped))
        assert "could not read its configuration again" in str(one.events[stopped - 1])
        await one.wait_for(PeerUp(address(2)), after=stopped)


async def test_a_killed_exabgp_comes_back_with_its_sessions(tmp_path: Path) -> None:
    async with mesh(tmp_path, 1, 2) as (one, two):
        assert one.exabgp.pid
        os.kill(one.exabgp.pid, signal.SIGKILL)
        back = await one.wait_for(SpeakerStarted(), after=await one.wait_for(SpeakerStopped("it was ended by SIGKILL")))
        assert await one.exabgp.send(exabgp_commands.announce(OURS)) == [True, True]
        await one.wait_for(PeerUp(address(2)), after=back)
        await two.wait_until(lambda: two.routes(1) == OURS)


async def test_a_folder_that_somebody_removes_is_made_anew_for_the_next_start_and_the_next_configuration(
    tmp_path: Path,
) -> None:
    async with mesh(tmp_path, 1, 2) as (one, _), node(tmp_path / "3") as three:
        assert one.exabgp.pid
        shutil.rmtree(tmp_path / "1")
        os.kill(one.exabgp.pid, signal.SIGKILL)
        stopped = await one.wait_for(SpeakerStopped("it was ended by SIGKILL"))
        await one.wait_for(PeerUp(address(2)), after=stopped)
        shutil.rmtree(tmp_path / "1")
        await three.exabgp.reload(speaker(3, 1))
        await one.exabgp.reload(speaker(1, 2, 3))
        await one.wait_for(PeerUp(address(3)))


async def test_whatever_dies_while_sessions_change_the_last_configuration_wins(tmp_path: Path) -> None:
    chance = random.Random(179)
    async with mesh(tmp_path, 1, 2) as (one, two), node(tmp_path / "3") as three:
        await three.exabgp.reload(speaker(3, 1))
        for _ in range(6):
            reloading = asyncio.create_task(one.exabgp.reload(speaker(1, *chance.choice([(2,), (3,), (2, 3)]))))
            await asyncio.sleep(chance.random() / 2)
            if one.exabgp.pid:
                os.kill(one.exabgp.pid, chance.choice([signal.SIGKILL, signal.SIGTERM]))
            with contextlib.suppress(ExaBGPError):
                await one.exabgp.send(exabgp_commands.announce(OURS))
            await reloading
        await one.exabgp.reload(speaker(1, 2, 3))
        await one.wait_until(lambda: one.is_up(2) and one.is_up(3))
        assert await one.exabgp.send(exabgp_commands.announce(OURS)) == [True, True]
        await two.wait_until(lambda: two.is_up(1) and two.routes(1) == OURS)
        await three.wait_until(lambda: three.is_up(1) and three.routes(1) == OURS)


@pytest.mark.parametrize("changed", ["VERSION", "LAUNCHER"])
async def test_once_another_release_is_installed_exabgp_runs_on_and_is_not_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    """To what is installed, a sidecar that was started before it is one of another version; or it finds no launcher."""
    async with mesh(tmp_path, 1, 2) as (one, _):
        monkeypatch.setattr(exabgp_supervisor, changed, {"VERSION": 0, "LAUNCHER": tmp_path / "gone.py"}[changed])
        with pytest.raises(OtherReleaseInstalled, match=r"restart the sidecar.*the configuration before it stays"):
            await one.exabgp.reload(speaker(1, 2, 3))
        assert one.is_up(2)
        assert one.exabgp.pid
        assert not one.exabgp.outdated.is_set()
        os.kill(one.exabgp.pid, signal.SIGKILL)
        killed = await one.wait_for(SpeakerStopped("it was ended by SIGKILL"))
        stopped = await one.wait_for(lambda event: isinstance(event, SpeakerStopped), after=killed)
        assert "restart the sidecar" in str(one.events[stopped - 1])
        assert one.exabgp.outdated.is_set()


async def test_commands_for_an_exabgp_that_is_gone_are_an_error_not_a_wait(tmp_path: Path) -> None:
    async with mesh(tmp_path, 1, 2) as (one, _):
        assert one.exabgp.pid
        os.kill(one.exabgp.pid, signal.SIGSTOP)
        batch = asyncio.create_task(one.exabgp.send(["version"]))
        await asyncio.sleep(0)
        os.kill(one.exabgp.pid, signal.SIGKILL)
        with pytest.raises(ExaBGPError, match="1 are missing"):
            await batch


async def test_an_exabgp_that_hangs_while_idle_is_killed_and_started_again(tmp_path: Path) -> None:
    async with mesh(tmp_path, 1, 2, idle_seconds=0.2, answer_seconds=1.0) as (one, _):
        assert one.exabgp.pid
        os.kill(one.exabgp.pid, signal.SIGSTOP)
        stopped = await one.wait_for(SpeakerStopped("killed, because no answer came for 1 s"))
        await one.wait_for(PeerUp(address(2)), after=stopped)


async def test_an_exabgp_that_hangs_under_a_batch_is_killed_and_the_batch_is_an_error(tmp_path: Path) -> None:
    async with mesh(tmp_path, 1, 2, answer_seconds=1.0) as (one, _):
        assert one.exabgp.pid
        os.kill(one.exabgp.pid, signal.SIGSTOP)
        with pytest.raises(ExaBGPError, match="it ended, 2 are missing"):
            await one.exabgp.send(exabgp_commands.announce(OURS))
        await one.wait_for(
            SpeakerStarted(), after=await one.wait_for(SpeakerStopped("killed, because no answer came for 1 s"))
        )


async def test_a_batch_given_up_by_its_caller_does_not_answer_for_the_next(tmp_path: Path) -> None:
    async with mesh(tmp_path, 1, 2) as (one, _):
        wrong = asyncio.create_task(one.exabgp.send(["nonsense"] * 20))
        await asyncio.sleep(0)
        wrong.cancel()
        assert await one.exabgp.send(exabgp_commands.announce(OURS)) == [True, True]


async def test_an_occupied_port_is_named_and_retried_when_the_configuration_changes(tmp_path: Path) -> None:
    with socket.create_server((address(1), 179)):
        async with node(tmp_path) as one:
            await one.exabgp.reload(speaker(1, 2))
            await one.wait_for(
                SpeakerStopped(
                    "listen on 10.9.0.1 port 179: address already in use, another BGP speaker runs here", True
                )
            )
            await one.exabgp.reload(replace(speaker(1, 2), port=1179))
            await one.wait_for(SpeakerStarted())


async def test_an_address_this_node_does_not_have_is_named(tmp_path: Path) -> None:
    async with node(tmp_path) as one:
        await one.exabgp.reload(replace(speaker(1, 2), listen=("10.99.0.1",)))
        await one.wait_for(SpeakerStopped("listen on 10.99.0.1 port 179: this node does not have the address", True))


async def test_another_listening_address_is_taken_up(tmp_path: Path) -> None:
    async with mesh(tmp_path, 1, 2) as (one, _):
        await one.exabgp.reload(replace(speaker(1, 2), listen=(address(1), "fd09::1")))
        await one.wait_for(SpeakerStarted(), after=await one.wait_for(lambda event: isinstance(event, SpeakerStopped)))
        _, writer = await asyncio.open_connection("fd09::1", 179)
        writer.close()


async def test_a_peer_with_another_as_than_configured_is_told_by_its_reason(tmp_path: Path) -> None:
    async with node(tmp_path / "1") as one, node(tmp_path / "2") as two:
        await one.exabgp.reload(with_neighbour(speaker(1, 2), peer_as=65001))
        await two.exabgp.reload(speaker(2, 1))
        await one.wait_for(PeerDown(address(2), "notification sent (2,2)"))
        assert PeerUp(address(2)) not in one.events


async def test_a_password_of_any_characters_works_and_only_its_owner_reads_the_file(tmp_path: Path) -> None:
    password = 'a"b; c{ñ' + "x" * 71
    async with node(tmp_path / "1") as one, node(tmp_path / "2") as two:
        await one.exabgp.reload(with_neighbour(speaker(1, 2), password=password))
        await two.exabgp.reload(with_neighbour(speaker(2, 1), password=password))
        await one.wait_for(PeerUp(address(2)))
        assert (tmp_path / "1" / "exabgp.conf").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("hops", [None, 1], ids=["plain", "ttl security"])
async def test_an_ipv6_session_with_a_password_carries_both_families(tmp_path: Path, hops: int | None) -> None:
    def six(own: int, other: int) -> Speaker:
        only = replace(
            session(own, other),
            address=f"fd09::{other}",
            local_address=f"fd09::{own}",
            password="s3cret",
            ttl_hops=hops,
        )
        return replace(speaker(own), listen=(f"fd09::{own}",), neighbours=(only,))

    async with node(tmp_path / "1") as one, node(tmp_path / "2") as two:
        await one.exabgp.reload(six(1, 2))
        await two.exabgp.reload(six(2, 1))
        await one.wait_for(PeerUp("fd09::2"))
        assert await one.exabgp.send(exabgp_commands.announce(OURS, to=["fd09::2"])) == [True, True]
        await two.wait_until(lambda: two.routes("fd09::1") == OURS)


async def test_ttl_security_keeps_out_a_dialling_peer_that_seems_far_away(tmp_path: Path) -> None:
    async with node(tmp_path / "1") as one, node(tmp_path / "2") as two, node(tmp_path / "3") as three:
        await one.exabgp.reload(replace(speaker(1), neighbours=(replace(session(1, 2), ttl_hops=1), session(1, 3))))
        await two.exabgp.reload(speaker(2, 1))
        await two.wait_for(PeerConnected(address(1)))
        # Its packets are dropped from here on. Who comes later and dials the same address is not held to it:
        await three.exabgp.reload(speaker(3, 1))
        await one.wait_for(PeerUp(address(3)))
        assert PeerUp(address(2)) not in one.events


async def test_a_changed_password_resets_its_session_only(tmp_path: Path) -> None:
    async with mesh(tmp_path, 1, 2, 3) as (one, two, _):
        for own, other, one_of_two in ((1, 2, one), (2, 1, two)):
            changed = tuple(
                replace(each, password="n3w") if each.address == address(other) else each
                for each in speaker(own, 1, 2, 3).neighbours
            )
            before = len(two.events)
            await one_of_two.exabgp.reload(replace(speaker(own), neighbours=changed))
        await two.wait_for(PeerUp(address(1)), after=before)
        assert not any(map(gone(3), one.events[one.events.index(PeerUp(address(3))) :]))


async def test_nothing_runs_after_the_end(tmp_path: Path) -> None:
    async with mesh(tmp_path, 1, 2) as (one, two):
        pids = [one.exabgp.pid, two.exabgp.pid]
    for pid in pids:
        assert pid is not None
        assert not Path(f"/proc/{pid}").exists()


async def test_a_consumer_that_stalls_under_a_burst_stops_neither_exabgp_nor_its_answers(tmp_path: Path) -> None:
    async with ExaBGP(tmp_path) as exabgp:
        await exabgp.reload(speaker(1, 2))
        events = exabgp.events()
        assert await anext(events) == SpeakerStarted()
        async with peer(2, of=1) as writer:
            for number in range(5000):
                writer.write(update(number))
            # Events are not read: some megabytes of them wait, more than any pipe holds.
            await writer.drain()
            for _ in range(20):
                assert await exabgp.send(["version"]) == [True]
            seen = set[Prefix]()
            async with asyncio.timeout(PATIENCE):
                while len(seen) < 5000:
                    event = await anext(events)
                    if isinstance(event, UpdatesReceived):
                        seen.update(route.prefix for update in event.updates for route in update.announced)


async def test_an_announcement_accepted_before_a_reload_is_sent_after_it(tmp_path: Path) -> None:
    async with mesh(tmp_path, 1, 2) as (one, two):
        for _ in range(10):
            assert await one.exabgp.send([*exabgp_commands.announce(OURS), "reload"]) == [True] * 3
            await two.wait_until(lambda: two.routes(1) == OURS)
            assert await one.exabgp.send([*exabgp_commands.withdraw(OURS), "reload"]) == [True] * 3
            await two.wait_until(lambda: not two.routes(1))


async def test_an_end_of_rib_accepted_before_a_reload_is_sent_after_it(tmp_path: Path) -> None:
    async with mesh(tmp_path, 1, 2) as (one, two):
        for _ in range(20):
            before = len(two.events)
            # In one batch: the reload comes between the queue and the wire.
            ends = exabgp_commands.end_of_rib({address(2): ("ipv4", "ipv6")})
            assert await one.exabgp.send([*ends, "reload"]) == [True] * 3
            await two.wait_for(EndOfRib(address(1), "ipv4"), after=before)
            await two.wait_for(EndOfRib(address(1), "ipv6"), after=before)
