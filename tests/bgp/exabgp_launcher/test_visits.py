"""When a peer is visited, and how long the loop waits."""

from __future__ import annotations

import math
import select
import socket
import time
from types import SimpleNamespace
from typing import Any

import pytest

from bgp.exabgp_launcher import visits
from tests.bgp.exabgp_launcher.in_python import in_python, patched


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
    assert list(visits.wait_for_io(world, 1)) == []
    assert world._poller.poll(0) == []
    with pytest.raises(KeyError):
        world._poller.unregister(descriptor)


def test_a_new_connection_ends_the_wait() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()):
        world = reactor(listening=(listening,))
        list(visits.wait_for_io(world, 3_600_000))
        assert world.felix_ready == {listening.fileno()}


def test_a_signal_ends_the_wait_and_one_that_came_just_before_does() -> None:
    done = in_python("""
import os, select, signal
from types import SimpleNamespace
from bgp.exabgp_launcher import visits
wait = visits.until_a_signal(visits.wait_for_io)
forever = 3_600_000
world = SimpleNamespace(
    _poller=select.poll(), _peers={}, listener=None,
    asynchronous=SimpleNamespace(ready=lambda: True), processes=SimpleNamespace(_process={}),
)
heard = []
signal.signal(signal.SIGALRM, lambda *_: heard.append("during"))
signal.signal(signal.SIGTERM, lambda *_: heard.append("before"))
signal.setitimer(signal.ITIMER_REAL, 0.05)
assert list(wait(world, forever)) == []
os.kill(os.getpid(), signal.SIGTERM)
assert list(wait(world, forever)) == []
assert heard == ["during", "before"]
assert list(wait(world, 1)) == [] and not world.felix_ready, "one signal ends one wait"
""")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("peers", "milliseconds"),
    [
        ([], 1000),
        ([{}], 1000),
        ([{"established": False, "passive": True}], 1000),
        ([{}, {"established": False}], visits.FRESH_WAIT_MS),
        ([{"established": False, "attempt_seconds_ago": 10.0}], visits.OLD_WAIT_MS),
        ([{"established": False, "passive": True, "proto": "accepted"}], visits.FRESH_WAIT_MS),
    ],
)
def test_the_wait_is_short_only_while_a_session_is_being_made(peers: list[dict[str, Any]], milliseconds: float) -> None:
    assert visits.poll_milliseconds(reactor(*(a_peer(**each) for each in peers)), 1000) == milliseconds


def test_a_peer_that_pauses_before_its_next_attempt_is_waited_for_until_then() -> None:
    wait = visits.poll_milliseconds(reactor(a_peer(established=False, generator=None, backoff=0.3)), 1000)
    assert visits.FRESH_WAIT_MS < wait <= 302


def test_commands_in_the_queue_are_not_slept_over() -> None:
    assert visits.poll_milliseconds(reactor(a_peer(), commands_wait=True), 1000) == 0
    assert visits.poll_milliseconds(reactor(a_peer()), 0) == 0


def visited(world: Any) -> set[str]:
    return visits.active_peers(world)


def test_a_peer_whose_connection_was_taken_up_is_looked_at_before_the_loop_waits_again() -> None:
    """It waits for our OPEN, and its socket is in no poll set yet."""
    world = reactor(a_peer(established=False, passive=True))
    assert visited(world) == set()
    world.asynchronous.felix_ran, world._peers["0"].proto = True, "accepted"
    assert visits.poll_milliseconds(world, 1000) == 0
    assert visited(world) == {"0"}
    assert visits.poll_milliseconds(world, 1000) == visits.FRESH_WAIT_MS


def test_an_idle_peer_is_visited_for_its_timers_only() -> None:
    assert visited(reactor(a_peer())) == set()
    assert visited(reactor(a_peer(due_in=-1.0))) == {"0"}


def test_the_wait_ends_when_a_peer_is_due() -> None:
    world = reactor(a_peer(due_in=0.4), a_peer())
    assert visited(world) == set()
    assert 0 < visits.poll_milliseconds(world, 1000) <= 401


def test_a_peer_that_is_due_is_visited_although_all_were_looked_at_just_before() -> None:
    world = reactor(a_peer(), a_peer())
    assert visited(world) == set()
    one = world._peers["1"]
    one.felix_due_at = world.felix_due_at = time.monotonic() - 0.001
    assert world.felix_look_at > time.monotonic()
    assert visited(world) == {"1"}


def test_a_session_that_came_up_last_is_waited_for_by_its_first_timer() -> None:
    world = reactor(a_peer(established=False))
    assert visited(world) == {"0"}
    one = world._peers["0"]
    one.reactor, one.established = world, lambda: True
    one.recv_timer = SimpleNamespace(holdtime=3, last_read=int(time.monotonic()) - 3)
    visits.visit(lambda _: 2)(one)
    assert world.felix_due_at == one.felix_due_at < time.monotonic() + 1.6


def test_a_keepalive_is_sent_each_time_although_the_peer_is_visited_for_that_only() -> None:
    """Two sessions: of the other the socket takes nothing at first, and it is visited again soon."""
    done = patched("""
import time
moment = [1000.0]
time.monotonic = lambda: moment[0]
from types import SimpleNamespace
from exabgp.bgp.message import _NOP
from exabgp.environment import getenv
from exabgp.logger import log
log.init(getenv())
from exabgp.reactor.keepalive import KA
from bgp.exabgp_launcher.visits import next_due
sent, blocked = [], [False]
def new_keepalive():
    while blocked[0]:
        yield _NOP
    sent.append(moment[0])
    yield _NOP
    yield "a keepalive"
peer = SimpleNamespace(recv_timer=None)
negotiated = SimpleNamespace(holdtime=SimpleNamespace(keepalive=lambda: 30))
keepalives = KA(
    lambda: "peer",
    SimpleNamespace(peer=peer, new_keepalive=new_keepalive, negotiated=negotiated),
)
for _ in range(4):
    moment[0] = next_due(peer, moment[0])
    assert keepalives() is False
assert sent == [1030.0, 1060.0, 1090.0, 1120.0], sent
blocked[0] = True
moment[0] = next_due(peer, moment[0])
keepalives()
assert (moment[0], next_due(peer, moment[0])) == (1150.0, 1150.5)
blocked[0], moment[0] = False, 1150.5
keepalives()
assert sent[4:] == [1150.5], sent
""")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("hold_time", "last_read", "last_sent", "due"),
    [
        (90, 600, 590, 620.0),
        (90, 515, 599, 606.0),
        (90, 500, 500, 601.0),
        (0, 0, 0, 630.5),
        (65535, 600, 600, 630.5),
    ],
)
def test_a_peer_is_due_when_a_timer_of_its_is_over(hold_time: int, last_read: int, last_sent: int, due: float) -> None:
    one = SimpleNamespace(
        recv_timer=SimpleNamespace(holdtime=hold_time, last_read=last_read),
        felix_send_timer=SimpleNamespace(keepalive=hold_time // 3, last_sent=last_sent),
    )
    assert visits.next_due(one, 600.25) == due


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


def test_what_a_peer_has_sent_is_read_before_all_are_looked_at_but_not_for_ever() -> None:
    world = reactor(a_peer(), a_peer(socket=9))
    assert visited(world) == set()
    world._peers["0"].neighbor.eor, world.felix_ready = ["ipv4"], {9}
    world.felix_look_at = time.monotonic()
    assert visited(world) == {"1"}
    world.felix_look_at = time.monotonic() - visits.TIMERS_SECONDS
    assert visited(world) == {"0", "1"}


def test_a_new_peer_is_looked_at_at_once() -> None:
    world = reactor(a_peer())
    assert visited(world) == set()
    world._peers["1"] = a_peer(established=False)
    assert visited(world) == {"1"}


def test_a_passive_peer_without_a_connection_is_left_alone() -> None:
    assert visited(reactor(a_peer(established=False, passive=True))) == set()


def actions(*of_released: int, state: int | None = None) -> Any:
    said = iter(of_released)
    one = a_peer(generator=object())
    one.fsm = state
    one.reactor = SimpleNamespace(felix_turn_ends=math.inf)
    one.run = visits.visit(lambda _: next(said))
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
    assert len(list(busy.left)) == 100 - visits.MESSAGES_PER_VISIT
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

    assert visits.visit(handled)(one) == ACTION.LATER
    assert list(said) == []


def test_a_flood_keeps_the_turn_short() -> None:
    from exabgp.reactor.peer import ACTION

    busy = actions(*[ACTION.NOW] * 100)
    busy.reactor.felix_turn_ends = -math.inf
    assert busy.run(busy) == ACTION.NOW
    assert len(list(busy.left)) == 99
    assert busy.felix_unfinished
