"""When ExaBGP visits which peer, and how long its loop waits in between: for sockets, commands and timers."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from bgp.exabgp_launcher.reading import bytes_taken, was_read_ahead
from bgp.exabgp_launcher.replacement import ReplacedFunction, Replacement

TIMERS_SECONDS, SAFETY_SECONDS = 0.5, 30.0  # between two visits of a peer for its timers: at least, and at most
HANDSHAKE_SECONDS = 3.0  # how long a connection attempt counts as fresh
FRESH_WAIT_MS, OLD_WAIT_MS = 10, 200  # between two looks at a fresh, and at an older, attempt
MESSAGES_PER_VISIT = 32
TURN_SECONDS = 0.02  # after which a turn handles one message of each peer, so that no flood keeps commands waiting


def replacements() -> list[Replacement]:
    from exabgp.reactor.keepalive import KA
    from exabgp.reactor.loop import Reactor
    from exabgp.reactor.peer import Peer

    return [
        ReplacedFunction(Reactor, "_wait_for_io", ("self", "sleeptime"), until_a_signal(wait_for_io)),
        ReplacedFunction(Reactor, "active_peers", ("self",), active_peers),
        ReplacedFunction(Peer, "run", ("self",), visit(Peer.run)),
        ReplacedFunction(KA, "__init__", ("self", "session", "proto"), show_timer(KA.__init__)),
        ReplacedFunction(KA, "__call__", ("self",), send_whole(KA.__call__)),
    ]


def wait_for_io(reactor: Any, sleeptime: int) -> Iterator[int]:
    """Wait until a socket, a command or a timer is due.

    As released, a closed descriptor stays in the poll set and costs a sleep in every turn from then on, which
    slows every other session a hundredfold; and a new connection is noticed only once per turn.
    """
    import select

    for process in reactor.processes._process.values():
        process.stdin.send()
    watched = select.POLLIN | select.POLLPRI | select.POLLHUP | select.POLLERR
    if reactor.listener:
        for listening in reactor.listener._sockets:
            reactor._poller.register(listening, watched)
    ready: set[int] = set()
    reactor.felix_ready = ready
    for descriptor, event in reactor._poller.poll(poll_milliseconds(reactor, sleeptime)):
        if event & select.POLLNVAL:
            reactor._poller.unregister(descriptor)
        else:
            ready.add(descriptor)
    # The loop only looks up peers by what is yielded here, and forgets them again: active_peers does that better.
    yield from ()


def until_a_signal(wait: Callable[[Any, int], Iterator[int]]) -> Callable[[Any, int], Iterator[int]]:
    """Return a wait that a signal ends as well, also one that came just before it.

    As released a poll goes on when the signal's handler has run, and what is told to end does so up to a second later.
    """
    import select

    signals, written = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(written, warn_on_full_buffer=False)

    def wait_for_io_or_signal(reactor: Any, sleeptime: int) -> Iterator[int]:
        reactor._poller.register(signals, select.POLLIN)
        yield from wait(reactor, sleeptime)
        with contextlib.suppress(BlockingIOError):
            os.read(signals, 4096)

    return wait_for_io_or_signal


def poll_milliseconds(reactor: Any, sleeptime: int) -> int:
    """Return for how many milliseconds nothing can become due, unless a descriptor says so."""
    if not sleeptime or not reactor.asynchronous.ready() or was_stirred(reactor):
        return 0
    now = time.monotonic()
    wait = int(min(sleeptime, max(0, (first_due_at(reactor) - now) * 1000) + 1))
    for peer in (
        reactor._peers[key] for key in getattr(reactor, "felix_busy", reactor._peers) if key in reactor._peers
    ):
        if peer.established() or (peer.neighbor["passive"] and not peer.proto):
            continue
        if peer.generator is None and peer._delay.backoff():
            wait = min(wait, max(FRESH_WAIT_MS, int((peer._delay._time - now) * 1000) + 1))
        elif now - getattr(peer, "felix_attempt", now) < HANDSHAKE_SECONDS:
            wait = min(wait, FRESH_WAIT_MS)
        else:
            wait = min(wait, OLD_WAIT_MS)
    return wait


def active_peers(reactor: Any) -> set[str]:
    """Return the peers that have something to do; all of them now and then, for their timers.

    As released every peer is visited in every turn, busy or not: 7 to 10 % of a core for 100 idle sessions. A look at
    all of them costs as well: there is one after commands and new connections, when a timer is over, and each half
    second, or each second where there is always something to read first; in the turns between, those are looked at that
    had something to do, or have it by their socket.
    """
    now, peers = time.monotonic(), reactor._peers
    reactor.felix_turn_ends = now + TURN_SECONDS
    ready: set[int] = getattr(reactor, "felix_ready", set())
    looked_at: Iterable[str] = peers
    all_are = stirred(reactor, now, reading=bool(ready))
    if all_are:
        reactor.felix_look_at = now + TIMERS_SECONDS
        reactor.felix_sockets = {peer.socket(): key for key, peer in peers.items()}
    else:
        by_socket = reactor.felix_sockets
        by_socket.update({peers[key].socket(): key for key in reactor.felix_busy if key in peers})
        looked_at = reactor.felix_busy | {by_socket[each] for each in ready if each in by_socket}
    reactor.felix_busy = {key for key in looked_at if key in peers and has_work(peers[key], ready, now)}
    if all_are:
        # Of those that are visited now, the visit adds when they are due next.
        idle = (peer for key, peer in peers.items() if key not in reactor.felix_busy and peer.established())
        reactor.felix_due_at = min(map(due_at, idle), default=math.inf)
    return set(reactor.felix_busy)


def stirred(reactor: Any, now: float, *, reading: bool) -> bool:
    """Whether any peer may have something to do by now. reading: a socket is ready, and what waits there goes first."""
    commanded = was_stirred(reactor)
    known, reactor.felix_known = getattr(reactor, "felix_known", -1), len(reactor._peers)
    reactor.asynchronous.felix_ran = False
    return (
        commanded
        or known != reactor.felix_known
        or now >= min(getattr(reactor, "felix_look_at", 0.0) + reading * TIMERS_SECONDS, first_due_at(reactor))
    )


def was_stirred(reactor: Any) -> bool:
    """Whether a command or a new connection was worked off since peers were last looked at.

    A peer that dialled waits for our OPEN then, and by its socket nothing would be seen of it.
    """
    return bool(getattr(reactor.asynchronous, "felix_ran", False))


def first_due_at(reactor: Any) -> float:
    """Return a moment before which no timer of an idle session is over: all are looked at then."""
    moment: float = getattr(reactor, "felix_due_at", math.inf)
    return moment


def due_at(peer: Any) -> float:
    """Return when a peer is to be visited for its timers; at once if it never was."""
    moment: float = getattr(peer, "felix_due_at", 0.0)
    return moment


def next_due(peer: Any, now: float) -> float:
    """Return when a timer of a peer that was just visited is over, rounded up to TIMERS_SECONDS.

    Then all peers are looked at: those of many are to be at the same moments.
    """
    hold, keepalive = peer.recv_timer, getattr(peer, "felix_send_timer", None)
    ends = [now + SAFETY_SECONDS]
    if hold and hold.holdtime:
        ends.append(hold.last_read + hold.holdtime + 1)
    if keepalive and keepalive.keepalive:
        ends.append(keepalive.last_sent + keepalive.keepalive)
    if getattr(keepalive, "felix_unsent", False):
        ends.append(now)
    return math.ceil(max(now + TIMERS_SECONDS, min(ends)) / TIMERS_SECONDS) * TIMERS_SECONDS


def show_timer(released: Callable[[Any, Any, Any], None]) -> Callable[[Any, Any, Any], None]:
    """Return KA.__init__ that leaves its timer with the peer, for the function above, and notes when it came up."""

    def init(keepalives: Any, session: Any, proto: Any) -> None:
        released(keepalives, session, proto)
        proto.peer.felix_send_timer = keepalives.send_timer
        proto.felix_up_at = time.monotonic()

    return init


def send_whole(released: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return KA.__call__ that has ended with a keepalive once it is sent, and notes whether it could be.

    As released the call after that ends with it, and sends none: of a peer that is only visited when its timer is
    over, each second keepalive would be left out.
    """

    def call(keepalives: Any) -> Any:
        timer = keepalives.send_timer
        began = getattr(timer, "felix_unsent", False)
        result = released(keepalives)
        if began or result is not False:
            result = released(keepalives)
        timer.felix_unsent = result is not False
        return result

    return call


def has_work(peer: Any, ready: set[int], now: float) -> bool:
    if peer.stopping():
        return True
    if peer.neighbor["passive"] and not peer.proto:
        return False
    neighbor = peer.neighbor
    return bool(
        now >= due_at(peer)
        or not peer.established()
        or getattr(peer, "felix_unfinished", True)
        or peer._teardown
        or peer._neighbor
        or peer.socket() in ready
        or neighbor.eor
        or neighbor.refresh
        or neighbor.messages
        or neighbor.rib.outgoing.pending()
    )


def visit(released: Callable[[Any], int]) -> Callable[[Any], int]:
    """Return Peer.run that handles several messages per visit, and notes what the two functions above need."""
    from exabgp.bgp.fsm import FSM
    from exabgp.reactor.peer import ACTION

    def handle(peer: Any) -> int:
        """Handle one message. ExaBGP says of one with a discarded attribute that there was none."""
        before = bytes_taken(peer)
        action = released(peer)
        more = action == ACTION.LATER and was_read_ahead(peer) and bytes_taken(peer) != before
        return ACTION.NOW if more else action

    def run(peer: Any) -> int:
        if peer.generator is None:
            peer.felix_attempt = time.monotonic()
        action = handle(peer)
        for _ in range(MESSAGES_PER_VISIT - 1):
            if action != ACTION.NOW or not peer.established() or time.monotonic() > peer.reactor.felix_turn_ends:
                break
            action = handle(peer)
        if action == ACTION.NOW and peer.fsm == FSM.OPENCONFIRM and not was_read_ahead(peer):
            # It waits for the peer's first keepalive: the poll set shows it, no need to spin.
            action = ACTION.LATER
        peer.felix_unfinished = action == ACTION.NOW
        peer.felix_due_at = next_due(peer, time.monotonic())
        peer.reactor.felix_due_at = min(first_due_at(peer.reactor), peer.felix_due_at)
        return action

    return run
