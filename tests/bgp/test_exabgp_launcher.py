"""Each replacement that bgp/exabgp_launcher.py makes, one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bgp import exabgp_commands, exabgp_launcher, exabgp_supervisor
from bgp.events import PeerDown, PeerUp, SpeakerStarted, SpeakerStopped, UpdateReceived
from tests.bgp.exabgp_nodes import OURS, PATIENCE, address, node, peer, session, speaker, with_neighbour
from tests.bgp.network import SILENT, own_network
from tests.bgp.raw_peer import BOTH, OPTIONAL, WELL_KNOWN, attribute

ROOT = Path(__file__).parents[2]
ORIGIN, AS_PATH = attribute(WELL_KNOWN, 1, b"\0"), attribute(WELL_KNOWN, 2, b"")
NEXT_HOP = attribute(WELL_KNOWN, 3, bytes((192, 0, 2, 2)))


@pytest.fixture
def network() -> Iterator[None]:
    with own_network():
        yield


def in_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def patched(code: str = "") -> subprocess.CompletedProcess[str]:
    """Run `code` in a Python of its own, in which ExaBGP has been patched: here it would stay so."""
    return in_python(f"from bgp import exabgp_launcher\nexabgp_launcher.patch(0, 1)\n{code}")


# The guard


def test_the_installed_exabgp_is_the_one_the_launcher_knows() -> None:
    done = patched()
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "unlike",
    [
        "import exabgp.version; exabgp.version.version = '5.0.16'",
        "from exabgp.reactor.loop import Reactor; Reactor._wait_for_io = lambda self, seconds: None",
        "from exabgp.reactor.peer import Peer; Peer.run = lambda self, more: None",
        "import exabgp.bgp.timer; exabgp.bgp.timer.time = None",
        "from exabgp.bgp.message import Message; from exabgp.reactor.api.command import announce\n"
        "announce.match_neighbors = lambda peers: peers",
    ],
)
def test_an_exabgp_that_differs_is_not_touched(unlike: str) -> None:
    refused = in_python(
        f"{unlike}\nfrom bgp import exabgp_launcher\n"
        "from exabgp.reactor.delay import Delay\nbefore = Delay.increase\n"
        "try: exabgp_launcher.patch(0, 1)\n"
        "except exabgp_launcher.UnknownReleaseError as error: print(error); assert Delay.increase is before"
    )
    assert refused.stdout.startswith("patch "), refused.stderr


async def test_another_release_is_not_started_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: None
) -> None:
    other = tmp_path / "exabgp_launcher.py"
    other.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from bgp import exabgp_launcher; exabgp_launcher.VERSION = '5.0.14'; exabgp_launcher.main()\n"
    )
    monkeypatch.setattr(exabgp_supervisor, "LAUNCHER", other)
    async with node(tmp_path) as one:
        await one.exabgp.reload(speaker(1, 2))
        await one.wait_for(
            SpeakerStopped(
                "it ended with exit code 78, last stderr line: "
                "patch ExaBGP 5.0.15: the patches are written for 5.0.14; it is not started",
                final=True,
            )
        )


# The clock


@pytest.mark.parametrize("step", [3600, -3600])
def test_a_wall_clock_that_jumps_ends_no_session_and_delays_no_keepalive_or_attempt(step: int) -> None:
    """The monotonic clock goes on by 31 s; the wall clock by that and a step besides."""
    done = patched(f"""
import time
wall, monotonic = time.time(), time.monotonic()
time.time, time.monotonic = (lambda: wall), (lambda: monotonic)
from types import SimpleNamespace
from exabgp.bgp.message import _NOP
from exabgp.bgp.timer import ReceiveTimer, SendTimer
from exabgp.environment import getenv
from exabgp.logger import log
log.init(getenv())
from exabgp.reactor.delay import Delay
receive = ReceiveTimer(lambda: "peer", 90, 4, 0)
send = SendTimer(lambda: "peer", SimpleNamespace(keepalive=lambda: 30))
delay = Delay()
delay.increase()
delay.increase()
wall += {step}
receive.check_ka_timer(_NOP)
assert not send.need_ka() and delay.backoff()
wall, monotonic = wall + 31, monotonic + 31
receive.check_ka_timer(_NOP)
assert send.need_ka() and not delay.backoff()
""")
    assert (done.returncode, done.stderr) == (0, "")


# wait_for_io: what is closed, what is listened on, and how long to wait


def reactor(*peers: Any, listening: tuple[socket.socket, ...] = (), commands_wait: bool = False) -> Any:
    return SimpleNamespace(
        _poller=select.poll(),
        _peers={str(number): each for number, each in enumerate(peers)},
        listener=SimpleNamespace(_sockets=dict.fromkeys(listening)),
        asynchronous=SimpleNamespace(ready=lambda: not commands_wait),
        processes=SimpleNamespace(_process={}),
    )


def a_peer(*, established: bool = True, passive: bool = False, attempt_seconds_ago: float = 0.0, **more: Any) -> Any:
    outgoing = SimpleNamespace(pending=lambda: bool(more.get("routes")))
    neighbor = {"passive": passive}
    return SimpleNamespace(
        established=lambda: established,
        stopping=lambda: False,
        socket=lambda: more.get("socket", -1),
        neighbor=type(
            "Neighbor",
            (dict,),
            {
                "eor": more.get("eor"),
                "refresh": more.get("refresh"),
                "messages": None,
                "rib": SimpleNamespace(outgoing=outgoing),
            },
        )(neighbor),
        proto=more.get("proto"),
        generator=more.get("generator", object()),
        felix_attempt=time.monotonic() - attempt_seconds_ago,
        felix_unfinished=more.get("unfinished", False),
        felix_due_at=time.monotonic() + more.get("due_in", 3600.0),
        recv_timer=None,
        _teardown=more.get("teardown"),
        _neighbor=more.get("redefined"),
        _delay=SimpleNamespace(backoff=lambda: "backoff" in more, _time=time.monotonic() + more.get("backoff", 0)),
    )


def test_a_closed_socket_leaves_the_poll_set() -> None:
    world = reactor()
    ours, theirs = socket.socketpair()
    world._poller.register(ours, select.POLLIN)
    theirs.close()
    descriptor = ours.fileno()
    ours.close()
    assert list(exabgp_launcher.wait_for_io(world, 1)) == []
    assert world._poller.poll(0) == []
    with pytest.raises(KeyError):
        world._poller.unregister(descriptor)


def test_a_new_connection_ends_the_wait() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()):
        world = reactor(listening=(listening,))
        list(exabgp_launcher.wait_for_io(world, 3_600_000))
        assert world.felix_ready == {listening.fileno()}


@pytest.mark.parametrize(
    ("peers", "milliseconds"),
    [
        ([], 1000),
        ([{}], 1000),
        ([{"established": False, "passive": True}], 1000),
        ([{}, {"established": False}], exabgp_launcher.FRESH_WAIT_MS),
        ([{"established": False, "attempt_seconds_ago": 10.0}], exabgp_launcher.OLD_WAIT_MS),
        ([{"established": False, "passive": True, "proto": "accepted"}], exabgp_launcher.FRESH_WAIT_MS),
    ],
)
def test_the_wait_is_short_only_while_a_session_is_being_made(peers: list[dict[str, Any]], milliseconds: float) -> None:
    assert exabgp_launcher.poll_milliseconds(reactor(*(a_peer(**each) for each in peers)), 1000) == milliseconds


def test_a_peer_that_pauses_before_its_next_attempt_is_waited_for_until_then() -> None:
    wait = exabgp_launcher.poll_milliseconds(reactor(a_peer(established=False, generator=None, backoff=0.3)), 1000)
    assert exabgp_launcher.FRESH_WAIT_MS < wait <= 302


def test_commands_in_the_queue_are_not_slept_over() -> None:
    assert exabgp_launcher.poll_milliseconds(reactor(a_peer(), commands_wait=True), 1000) == 0
    assert exabgp_launcher.poll_milliseconds(reactor(a_peer()), 0) == 0


# active_peers


def visited(world: Any) -> set[str]:
    return exabgp_launcher.active_peers(world)


def test_an_idle_peer_is_visited_for_its_timers_only() -> None:
    assert visited(reactor(a_peer())) == set()
    assert visited(reactor(a_peer(due_in=-1.0))) == {"0"}


def test_the_wait_ends_when_a_peer_is_due() -> None:
    wait = exabgp_launcher.poll_milliseconds(reactor(a_peer(due_in=0.4), a_peer()), 1000)
    assert 0 < wait <= 401


@pytest.mark.parametrize(
    ("hold_time", "last_read", "last_sent", "due"),
    [
        (90, 600, 590, 620.0),
        (90, 515, 599, 606.0),
        (90, 500, 500, 600.75),
        (0, 0, 0, 630.25),
        (65535, 600, 600, 630.25),
    ],
)
def test_a_peer_is_due_when_a_timer_of_its_is_over(hold_time: int, last_read: int, last_sent: int, due: float) -> None:
    one = SimpleNamespace(
        recv_timer=SimpleNamespace(holdtime=hold_time, last_read=last_read),
        felix_send_timer=SimpleNamespace(keepalive=hold_time // 3, last_sent=last_sent),
    )
    assert exabgp_launcher.next_due(one, 600.25) == due


@pytest.mark.parametrize(
    "reason",
    [
        {"established": False},
        {"routes": True},
        {"eor": ["ipv4"]},
        {"refresh": ["ipv4"]},
        {"unfinished": True},
        {"teardown": 3},
        {"redefined": object()},
        {"socket": 9},
    ],
    ids=lambda reason: next(iter(reason)),
)
def test_a_peer_with_something_to_do_is_visited_at_once(reason: dict[str, Any]) -> None:
    world = reactor(a_peer(), a_peer(**reason))
    world.felix_ready = {9}
    assert visited(world) == {"1"}


def test_idle_peers_are_looked_at_again_after_a_command_and_each_half_second_only() -> None:
    world = reactor(a_peer(), a_peer(socket=9))
    assert visited(world) == set()
    world._peers["0"].neighbor.eor = ["ipv4"]
    world.felix_ready = {9}
    assert visited(world) == {"1"}
    world.asynchronous.felix_ran = True
    assert visited(world) == {"0", "1"}
    world.felix_ready = set()
    assert visited(world) == {"0"}
    world._peers["1"].neighbor.eor = ["ipv4"]
    assert visited(world) == {"0"}
    world.felix_look_at = 0.0
    assert visited(world) == {"0", "1"}


def test_a_new_peer_is_looked_at_at_once() -> None:
    world = reactor(a_peer())
    assert visited(world) == set()
    world._peers["1"] = a_peer(established=False)
    assert visited(world) == {"1"}


def test_a_passive_peer_without_a_connection_is_left_alone() -> None:
    assert visited(reactor(a_peer(established=False, passive=True))) == set()


# Peer.run


def actions(*of_released: int, state: int | None = None) -> Any:
    said = iter(of_released)
    one = a_peer(generator=object())
    one.fsm = state
    one.reactor = SimpleNamespace(felix_turn_ends=math.inf)
    one.run = exabgp_launcher.visit(lambda _: next(said))
    one.left = said
    return one


def test_a_visit_handles_what_is_there_up_to_a_limit() -> None:
    from exabgp.reactor.peer import ACTION

    one = actions(ACTION.NOW, ACTION.NOW, ACTION.LATER, ACTION.NOW)
    assert one.run(one) == ACTION.LATER
    assert list(one.left) == [ACTION.NOW]
    assert not one.felix_unfinished
    busy = actions(*[ACTION.NOW] * 100)
    assert busy.run(busy) == ACTION.NOW
    assert len(list(busy.left)) == 100 - exabgp_launcher.MESSAGES_PER_VISIT
    assert busy.felix_unfinished


def test_waiting_for_the_first_keepalive_does_not_spin() -> None:
    from exabgp.bgp.fsm import FSM
    from exabgp.reactor.peer import ACTION

    one = actions(ACTION.NOW, state=FSM.OPENCONFIRM)
    one.established = lambda: False
    assert one.run(one) == ACTION.LATER


def test_what_was_read_ahead_is_not_waited_for() -> None:
    from exabgp.bgp.fsm import FSM
    from exabgp.reactor.peer import ACTION

    one = actions(ACTION.NOW, state=FSM.OPENCONFIRM)
    one.established = lambda: False
    one.proto = SimpleNamespace(connection=SimpleNamespace(felix_unread=bytearray(b"a keepalive")))
    assert one.run(one) == ACTION.NOW


def test_what_comes_behind_a_message_that_exabgp_discards_is_handled_at_once() -> None:
    from exabgp.reactor.peer import ACTION

    one = actions()
    connection = SimpleNamespace(felix_unread=bytearray(b"more"), felix_taken=0)
    one.proto = SimpleNamespace(connection=connection)
    said = iter((4, 0))

    def handled(peer: Any) -> int:
        connection.felix_taken += next(said)
        return int(ACTION.LATER)

    assert exabgp_launcher.visit(handled)(one) == ACTION.LATER
    assert list(said) == []


def test_a_flood_keeps_the_turn_short() -> None:
    from exabgp.reactor.peer import ACTION

    busy = actions(*[ACTION.NOW] * 100)
    busy.reactor.felix_turn_ends = -math.inf
    assert busy.run(busy) == ACTION.NOW
    assert len(list(busy.left)) == 99
    assert busy.felix_unfinished


# Connection._reader


def test_messages_that_came_together_are_read_at_once() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        connection = SimpleNamespace(io=ours)
        read = exabgp_launcher.read_ahead(lambda connection, number: iter([b"the end"]))
        theirs.send(b"one message")
        assert next(read(connection, 3)) == b"one"
        with pytest.raises(BlockingIOError):
            ours.recv(1)
        assert next(read(connection, 8)) == b" message"
        waiting = read(connection, 5)
        assert next(waiting) == b""
        theirs.send(b"parts")
        assert next(waiting) == b"parts"
        theirs.close()
        assert list(read(connection, 1)) == [b"the end"]


def connection_that_receives(*received: bytes | OSError) -> Any:
    said = iter(received)

    def recv(_: int) -> bytes:
        more = next(said)
        if isinstance(more, OSError):
            raise more
        return more

    def close() -> None:
        connection.io = None

    connection = SimpleNamespace(io=SimpleNamespace(recv=recv), close=close)
    return connection


@pytest.mark.parametrize("passing", [errno.ENOMEM, errno.ENOBUFS, errno.EINTR, errno.EBUSY, errno.EAGAIN])
def test_an_error_that_passes_loses_nothing_of_what_was_read(passing: int) -> None:
    connection = connection_that_receives(b"AB", OSError(passing, "later"), b"CDEF")
    read = exabgp_launcher.read_ahead(lambda connection, number: iter([b"not these"]))
    assert list(read(connection, 4)) == [b"", b"ABCD"]


@pytest.mark.parametrize("name", ["ECONNRESET", "ETIMEDOUT", "EHOSTUNREACH"])
def test_an_error_that_ends_a_connection_is_named(name: str) -> None:
    from exabgp.reactor.network.error import LostConnection

    connection = connection_that_receives(b"AB", OSError(getattr(errno, name), "gone"))
    read = exabgp_launcher.read_ahead(lambda connection, number: iter([b"not these"]))
    with pytest.raises(LostConnection, match=name):
        list(read(connection, 4))
    assert connection.io is None


# Listener.incoming, new_connections


def test_all_that_wait_are_accepted_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, contextlib.ExitStack() as ending:
        listening.setblocking(False)
        for _ in range(3):
            ending.enter_context(socket.create_connection(listening.getsockname()))
        listener = SimpleNamespace(serving=True, _sockets={listening: None}, _accepted={})
        assert exabgp_launcher.accept_all(listener)
        assert len(listener._accepted) == 3
        for accepted in listener._accepted:
            ending.enter_context(accepted)
        listener._accepted = {}
        assert not exabgp_launcher.accept_all(listener)


def test_each_connection_goes_to_the_peer_with_both_of_its_addresses() -> None:
    def text(address: str) -> Any:
        return SimpleNamespace(top=lambda: address)

    def connection(peer: str, own: str) -> Any:
        return SimpleNamespace(local=peer, peer=own, io=None, notification=lambda *_: None)

    taken, refused = list[Any](), list[Any]()
    neighbor = {"peer-address": text("192.0.2.2"), "local-address": text("192.0.2.1")}
    neighbor |= dict.fromkeys(("incoming-ttl", "outgoing-ttl"))
    world = SimpleNamespace(
        _peers={"2": SimpleNamespace(neighbor=neighbor, handle_connection=taken.append)},
        asynchronous=SimpleNamespace(schedule=lambda *work: refused.append(work)),
    )
    known, stranger = connection("192.0.2.2", "192.0.2.1"), connection("192.0.2.3", "192.0.2.1")
    elsewhere = connection("192.0.2.2", "198.51.100.1")
    listener = SimpleNamespace(_reactor=world, _connected=lambda: iter([stranger, elsewhere, known]))
    list(exabgp_launcher.take_up_connections(listener))
    assert taken == [known]
    assert len(refused) == 2


# Commands for some peers


def test_a_command_is_for_the_peers_it_names() -> None:
    names = [f"neighbor {each} local-ip 10.9.0.1 local-as 64512" for each in ("10.9.0.2", "10.9.0.20", "fd09::2")]
    assert exabgp_launcher.find_peers(names, []) == names
    assert exabgp_launcher.find_peers(names, [["neighbor 10.9.0.2"], ["neighbor fd09::2"]]) == [names[0], names[2]]
    assert exabgp_launcher.find_peers(names, [["neighbor 10.9.0.3"]]) == []


# The pipe of events and answers


def test_the_lines_of_a_turn_are_written_together_and_in_order() -> None:
    reading, writing = os.pipe()
    lines = exabgp_launcher.LinesOfATurn(writing)
    os.set_blocking(reading, False)
    for line in (b"one\n", b"two\n"):
        lines.write(line)
        lines.flush()
    with pytest.raises(BlockingIOError):
        os.read(reading, 1)
    lines.send()
    assert os.read(reading, 100) == b"one\ntwo\n"
    os.close(reading)
    lines.write(b"three\n")
    with pytest.raises(BrokenPipeError):
        lines.send()


# ASYNC.run


def asynchronous(*callbacks: Iterator[None]) -> Any:
    return SimpleNamespace(
        _async=deque((f"command {number}", callback) for number, callback in enumerate(callbacks)),
        failed=[],
        _notify_error=lambda uid: None,
    )


def test_more_commands_than_fifty_steps_are_worked_off_per_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exabgp_launcher, "COMMANDS_SECONDS", 60.0)
    done: list[int] = []

    def command(number: int) -> Iterator[None]:
        yield
        done.append(number)

    queue = asynchronous(*map(command, range(200)))
    assert not exabgp_launcher.run_commands(lambda _: False)(queue)
    assert done == list(range(200))


def test_a_command_that_takes_long_goes_on_in_the_next_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exabgp_launcher, "COMMANDS_SECONDS", 0.0001)
    steps: list[int] = []

    def long() -> Iterator[None]:
        for step in range(20):
            time.sleep(0.001)
            steps.append(step)
            yield

    queue, turns = asynchronous(long()), 1
    while exabgp_launcher.run_commands(lambda _: False)(queue):
        turns += 1
    assert steps == list(range(20))
    assert turns > 1


def test_a_command_that_fails_is_answered_and_the_next_one_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exabgp.logger.log.error", lambda *_: None)
    done: list[str] = []

    def wrong() -> Iterator[None]:
        yield
        raise ValueError("broken")

    def right() -> Iterator[None]:
        yield
        done.append("right")

    queue = asynchronous(wrong(), right())
    queue._notify_error = done.append
    exabgp_launcher.run_commands(lambda _: False)(queue)
    assert done == ["command 0", "right"]


# Neighbor.remove_self


def test_peers_share_the_attributes_of_an_announcement_but_not_its_prefix() -> None:
    class Change(SimpleNamespace):
        def __init__(self, nlri: Any, attributes: Any) -> None:
            super().__init__(nlri=nlri, attributes=attributes)

    said = Change(SimpleNamespace(nexthop=SimpleNamespace(SELF=False), action="announce"), {"med": 1})
    copies = exabgp_launcher.copy_prefix_only(lambda *_: "released")
    one, other = copies(None, said), copies(None, said)
    one.nlri.action = "withdraw"
    assert (said.nlri.action, other.nlri.action) == ("announce", "announce")
    assert one.attributes is other.attributes is said.attributes
    said.nlri.nexthop.SELF = True
    assert copies(None, said) == "released"


# The encoder's host name, the reconnect delay, the resolver


def test_the_host_name_of_every_line_is_looked_up_once() -> None:
    done = patched(
        "import socket\n"
        "from exabgp.reactor.api.response.json import JSON\n"
        "name = socket.gethostname()\n"
        "socket.gethostname = lambda: 'asked again'\n"
        "line = JSON('5')._header('', '', '', None, 'state')\n"
        'assert f\'"host" : "{name}"\' in line, line'
    )
    assert done.returncode == 0, done.stderr


def test_the_pause_before_a_reconnect_never_exceeds_five_seconds() -> None:
    done = patched(
        "from exabgp.reactor.delay import Delay\n"
        "delay, pauses = Delay(), []\n"
        "for _ in range(20): delay.increase(); pauses.append(delay._next)\n"
        "assert pauses[:3] == [1, 2, 3] and max(pauses) == pauses[-1] == 5, pauses"
    )
    assert done.returncode == 0, done.stderr


def test_no_resolver_is_asked_at_start(tmp_path: Path) -> None:
    empty = tmp_path / "exabgp.conf"
    empty.write_text("")
    run = (
        "import socket, sys\n"
        "def asked(*_): raise SystemExit(99)\n"
        "socket.getfqdn = socket.gethostbyaddr = asked\n"
        "from bgp import exabgp_launcher\n"
        "{}"
        f"sys.argv = ['exabgp_launcher', '--validate', {str(empty)!r}]\n"
        "exabgp_launcher.main()"
    )
    assert in_python(run.format("")).returncode != 99
    # And without the replacement it is: the test means something.
    without = "exabgp_launcher.set_host_name = lambda: None\n"
    assert in_python(run.format(without)).returncode == 99


# Attributes as RFC 7606 has them: tests/scenarios/test_bgp_malformed_updates.py has each of them

INTERNAL = {"external": False, "four_octets": True}


@pytest.mark.parametrize(
    ("attributes", "kept", "wrong"),
    [
        (ORIGIN + AS_PATH + NEXT_HOP, ORIGIN + AS_PATH + NEXT_HOP, None),
        (ORIGIN + NEXT_HOP, ORIGIN + NEXT_HOP, 2),
        (ORIGIN, ORIGIN, None),  # it announces nothing
        (AS_PATH + ORIGIN + attribute(WELL_KNOWN, 2, b"\2\1\0\0\0\7"), AS_PATH + ORIGIN, None),
        (attribute(WELL_KNOWN | 0x20, 2, b""), AS_PATH, None),
        (attribute(BOTH, 17, b"\2\1\0\0\0\7"), b"", None),
        (attribute(BOTH, 1, b"\0"), attribute(BOTH, 1, b"\0"), 1),
        (b"\xd0\x08\0", b"\xd0\x08\0", None),  # cut: ExaBGP's to judge
    ],
)
def test_what_counts_of_an_updates_attributes(attributes: bytes, kept: bytes, wrong: int | None) -> None:
    assert exabgp_launcher.sorted_out(attributes, **INTERNAL) == (kept, wrong)


def test_what_only_internal_or_two_octet_peers_may_send_does_not_count_of_others() -> None:
    internal = attribute(WELL_KNOWN, 5, bytes(4)) + attribute(OPTIONAL, 9, bytes(4)) + attribute(OPTIONAL, 10, b"\7")
    assert exabgp_launcher.sorted_out(internal, **INTERNAL) == (internal, None)
    assert exabgp_launcher.sorted_out(internal, external=True, four_octets=True) == (b"", None)
    old = attribute(BOTH, 17, b"\2\1\0\0\0\7") + attribute(BOTH, 18, bytes(8))
    assert exabgp_launcher.sorted_out(old, external=False, four_octets=False) == (old, None)


@pytest.mark.parametrize(
    ("value", "asn_bytes", "right"),
    [
        (b"", 4, True),
        (b"\2\1\0\0\0\7\1\2\0\0\0\1\0\0\0\2", 4, True),
        (b"\2\2\0\7\0\10", 2, True),
        (b"\2\2\0\7\0\10", 4, False),
        (b"\2\1\0\0\0\7\2", 4, False),
        (b"\2\0", 4, False),
        (b"\3\1\0\0\0\7", 4, False),
    ],
)
def test_an_as_path_is_whole_segments_none_of_them_empty_or_of_a_confederation(
    value: bytes, asn_bytes: int, right: bool
) -> None:
    assert exabgp_launcher.is_as_path(value, asn_bytes) is right


def test_no_bytes_in_an_attribute_end_a_session_unless_it_holds_prefixes() -> None:
    done = patched("""
import random
from collections import defaultdict
from types import SimpleNamespace
from exabgp.bgp.message import Update
from exabgp.bgp.message.direction import Direction
from exabgp.environment import getenv
from exabgp.logger import log
log.init(getenv())
chosen = random.Random(7606)
for number in range(5000):
    negotiated = SimpleNamespace(
        local_as=64512, peer_as=chosen.choice((64512, 65001)), asn4=chosen.random() < 0.5, families=[(1, 1), (2, 1)],
        addpath=SimpleNamespace(receive=lambda afi, safi: False), nexthop=[], neighbor=defaultdict(bool),
        cached_attributes=None, cached_wire=b"", aigp=True,
    )
    data = bytes.fromhex("40010100" "4002060201" "0000fde9" "400304c0000201")
    for _ in range(chosen.randint(1, 3)):
        code = chosen.choice([each for each in range(42) if each not in (14, 15)] + [128, 255])
        value = chosen.randbytes(chosen.choice((0, 1, 2, 3, 4, 5, 6, 8, 9, 12, 20, 24, 40)))
        data += bytes([chosen.randrange(256) & ~16, code, len(value)]) + value
    body = bytes(2) + len(data).to_bytes(2) + data + bytes.fromhex("18cb0071")
    update = Update.unpack_message(body, Direction.IN, negotiated)
    assert update.attributes.json(), body.hex()
""")
    assert (done.returncode, done.stderr) == (0, "")


# The pipes in place of a child


async def test_the_launcher_needs_no_child(tmp_path: Path, network: None) -> None:
    async with node(tmp_path) as one:
        await one.exabgp.reload(speaker(1, 2))
        await one.wait_for(SpeakerStarted())
        pid = one.exabgp.pid
        assert Path(f"/proc/{pid}/task/{pid}/children").read_text() == ""


def test_exabgp_ends_with_its_sidecar_and_frees_the_port(tmp_path: Path, network: None) -> None:
    sidecar = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import asyncio, sys\n"
            "from pathlib import Path\n"
            "from bgp.exabgp_supervisor import ExaBGP\n"
            "from bgp.events import SpeakerStarted\n"
            "from tests.bgp.exabgp_nodes import speaker\n"
            "async def main():\n"
            "    async with ExaBGP(Path(sys.argv[1])) as exabgp:\n"
            "        await exabgp.reload(speaker(1, 2))\n"
            "        async for event in exabgp.events():\n"
            "            if event == SpeakerStarted(): print(exabgp.pid, flush=True)\n"
            "asyncio.run(main())",
            str(tmp_path),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    try:
        assert sidecar.stdout is not None
        pid = int(sidecar.stdout.readline())
        exabgp = os.pidfd_open(pid)
    finally:
        sidecar.send_signal(signal.SIGKILL)
        sidecar.wait()
        assert sidecar.stdout is not None
        sidecar.stdout.close()
    assert select.select([exabgp], [], [], PATIENCE)[0], f"ExaBGP {pid} outlived its sidecar"
    os.close(exabgp)
    socket.create_server((address(1), 179)).close()


# Reloads are neither lost nor do they lose anything


async def test_a_reload_is_carried_out_while_announcements_wait_for_a_dead_node(tmp_path: Path, network: None) -> None:
    silent = replace(session(1, 4), address=SILENT, passive=False)
    alone = replace(speaker(1, 5), neighbours=(silent,))
    async with node(tmp_path / "1") as one, node(tmp_path / "5") as five:
        await one.exabgp.reload(alone)
        await one.wait_for(SpeakerStarted())
        assert await one.exabgp.send(exabgp_commands.announce(OURS)) == [True, True]
        await one.exabgp.reload(replace(alone, neighbours=(silent, session(1, 5))))
        await five.exabgp.reload(speaker(5, 1))
        await one.wait_for(PeerUp(address(5)))
        assert one.events.count(SpeakerStarted()) == 1


@pytest.mark.parametrize("changed", [{"hold_time": 60}, {"restart_time": 1}])
async def test_a_session_defined_anew_while_it_is_down_comes_up_once(
    changed: dict[str, int], tmp_path: Path, network: None
) -> None:
    async with node(tmp_path / "1") as one, node(tmp_path / "2") as two:
        await one.exabgp.reload(speaker(1, 2))
        await one.wait_for(SpeakerStarted())
        await one.exabgp.reload(with_neighbour(speaker(1, 2), **changed))
        await two.exabgp.reload(speaker(2, 1))
        await one.wait_for(PeerUp(address(2)))
        await two.wait_for(PeerUp(address(1)))
        await two.exabgp.send(exabgp_commands.announce(OURS))
        await one.wait_for(lambda event: isinstance(event, UpdateReceived))
        assert one.events.count(SpeakerStarted()) == two.events.count(PeerUp(address(1))) == 1
        assert not any(isinstance(event, PeerDown) for event in two.events)


async def test_a_session_defined_anew_during_its_handshake_starts_over(tmp_path: Path, network: None) -> None:
    async with node(tmp_path) as one:
        await one.exabgp.reload(speaker(1, 2))
        await one.wait_for(SpeakerStarted())
        reader, writer = await asyncio.open_connection(address(1), 179, local_addr=(address(2), 0))
        await reader.readexactly(19)  # the head of its OPEN, which ours would answer
        await one.exabgp.reload(with_neighbour(speaker(1, 2), hold_time=60))
        async with asyncio.timeout(PATIENCE):
            await reader.read()
        writer.close()
        async with peer(2, of=1):
            await one.wait_for(PeerUp(address(2)))
        assert one.events.count(SpeakerStarted()) == 1


def test_what_waits_to_be_sent_to_a_peer_survives_a_reload() -> None:
    old, new = (
        SimpleNamespace(eor=deque(words), refresh=deque[str](), messages=deque[str]())
        for words in (["ipv4", "ipv6"], [])
    )
    one = SimpleNamespace(neighbor=old)

    def released(peer: Any, neighbor: Any) -> None:
        peer.neighbor = neighbor

    exabgp_launcher.keep_queues(released)(one, new)
    assert one.neighbor is new
    assert list(new.eor) == ["ipv4", "ipv6"]


def test_a_reload_of_the_same_definition_repeats_nothing() -> None:
    kept: Callable[[Any, Any], None] = exabgp_launcher.keep_queues(lambda peer, neighbor: None)
    one = SimpleNamespace(neighbor=SimpleNamespace(eor=deque(["ipv4"]), refresh=deque(), messages=deque()))
    kept(one, None)
    assert list(one.neighbor.eor) == ["ipv4"]
