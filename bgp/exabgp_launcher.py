"""ExaBGP's program, started by ours: `exabgp_launcher.py --commands 5 --events 6 exabgp.conf`.

ExaBGP stays as released; this replaces a few methods of it in memory before it starts. Each replacement is guarded
by ExaBGP's exact version and by the signature of what it replaces, is shown by a test, and would be worth a patch
to the project. Another release is not started: the program ends with UNKNOWN_RELEASE and a sentence on stderr.
`--validate` only reads a configuration and ends.

It runs in ExaBGP's process: nothing of ours is imported here.
"""

from __future__ import annotations

import argparse
import copy
import ctypes
import inspect
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any, NoReturn

VERSION = "5.0.15"
UNKNOWN_RELEASE = 78  # exit code, known to bgp/exabgp_errors.py

PARENT_DEATH_SIGNAL = 1  # prctl(2)

TIMERS_SECONDS, SAFETY_SECONDS = 0.5, 30.0  # between two visits of a peer for its timers: at least, and at most
HANDSHAKE_SECONDS = 3.0  # how long a connection attempt counts as fresh
FRESH_WAIT_MS, OLD_WAIT_MS = 10, 200  # between two looks at a fresh, and at an older, attempt
COMMANDS_SECONDS = 0.005  # commands worked off per turn of the loop
MESSAGES_PER_VISIT = 32
TURN_SECONDS = 0.02  # after which a turn handles one message of each peer, so that no flood keeps commands waiting
READ_BYTES = 65536
CONNECTIONS_WAITING = 4096  # beyond these the kernel drops what comes, and a peer tries again seconds later
RECONNECT_SECONDS = 5  # the longest pause between two attempts to connect

UPDATE_PARAMETERS = ("self", "neighbor", "direction", "update", "negotiated", "header", "body")

# Path attributes (RFC 4271 §4.3): the bits of their flags, and by code which of the first two each has.
OPTIONAL, TRANSITIVE, PARTIAL, EXTENDED_LENGTH = 0x80, 0x40, 0x20, 0x10
ORIGIN, AS_PATH, NEXT_HOP, LOCAL_PREF, ORIGINATOR_ID, CLUSTER_LIST, MP_REACH, MP_UNREACH = 1, 2, 3, 5, 9, 10, 14, 15
FLAGS = {
    **dict.fromkeys((ORIGIN, AS_PATH, NEXT_HOP, LOCAL_PREF, 6), TRANSITIVE),
    **dict.fromkeys((4, ORIGINATOR_ID, CLUSTER_LIST), OPTIONAL),
    **dict.fromkeys((7, 8, 16, 17, 18, 25, 32), OPTIONAL | TRANSITIVE),
}
OF_INTERNAL_PEERS, OF_TWO_OCTET_PEERS = (LOCAL_PREF, ORIGINATOR_ID, CLUSTER_LIST), (17, 18)
HOLD_PREFIXES = (MP_REACH, MP_UNREACH)
# What an UPDATE may have that is handed on as it came: by code how many bytes one value has.
MED, COMMUNITIES, LARGE_COMMUNITIES, LAST_ORIGIN = 4, 8, 32, 2
PLAIN = {
    **dict.fromkeys((ORIGIN, AS_PATH), 1),
    **dict.fromkeys((NEXT_HOP, MED, LOCAL_PREF, COMMUNITIES, ORIGINATOR_ID, CLUSTER_LIST), 4),
    LARGE_COMMUNITIES: 12,
}
OF_ONE_VALUE = (ORIGIN, NEXT_HOP, MED, LOCAL_PREF, ORIGINATOR_ID)
SEGMENT_KINDS = (1, 2)  # AS_SET and AS_SEQUENCE; those of confederations come from none of our peers (RFC 5065 §5)


class UnknownReleaseError(Exception):
    """This ExaBGP is not the one that the replacements were written for."""


def main() -> NoReturn:
    parser = argparse.ArgumentParser(description="Run ExaBGP with felix-py's patches.")
    parser.add_argument("configuration")
    parser.add_argument("--commands", type=int, help="descriptor ExaBGP reads commands from")
    parser.add_argument("--events", type=int, help="descriptor ExaBGP writes answers and events to")
    parser.add_argument("--validate", action="store_true", help="read the configuration and end")
    options = parser.parse_args()
    die_with_parent()
    set_host_name()
    if options.validate:
        validate(options.configuration)
    try:
        patch(options.commands, options.events)
    except UnknownReleaseError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(UNKNOWN_RELEASE)
    run_exabgp("server", options.configuration)


def validate(configuration: str) -> NoReturn:
    """Do what `exabgp validate -n` does, without loading ExaBGP's other commands: a quarter of what a check costs."""
    from exabgp.application import validate as command

    command.cmdline(
        argparse.Namespace(configuration=[configuration], neighbor=True, route=False, verbose=False, pdb=False)
    )
    sys.exit(0)


def run_exabgp(*arguments: str) -> NoReturn:
    from exabgp.application.main import main as exabgp_main

    sys.argv = ["exabgp", *arguments]
    exabgp_main()
    sys.exit(0)


def die_with_parent() -> None:
    """Have the kernel end this process with its supervisor, so that the BGP port is free for the next one."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)


def set_host_name() -> None:
    """Fill ExaBGP's host and domain name, which it would ask DNS for: up to 10 s at each start while DNS is down."""
    from exabgp.util import dns

    host, _, domain = socket.gethostname().partition(".")
    for constant, value in (("__host_name", host), ("__domain_name", domain)):
        if hasattr(dns, constant):
            setattr(dns, constant, value or "localhost")


def patch(commands: int, events: int) -> None:
    """Replace the methods below. Raises UnknownReleaseError before anything was replaced."""
    from exabgp.bgp import timer
    from exabgp.bgp.message import Message  # noqa: F401  (its import order matters to ExaBGP)
    from exabgp.bgp.message.update import Update
    from exabgp.bgp.message.update.attribute import MPRNLRI, MPURNLRI, Attributes
    from exabgp.bgp.neighbor import Neighbor
    from exabgp.reactor import delay
    from exabgp.reactor.api.command import announce
    from exabgp.reactor.api.processes import Processes
    from exabgp.reactor.api.response import json as response_json
    from exabgp.reactor.asynchronous import ASYNC
    from exabgp.reactor.keepalive import KA
    from exabgp.reactor.listener import Listener
    from exabgp.reactor.loop import Reactor
    from exabgp.reactor.network.connection import Connection
    from exabgp.reactor.peer import Peer
    from exabgp.util import cache
    from exabgp.version import version

    if version != VERSION:
        raise UnknownReleaseError(f"patch ExaBGP {version}: the patches are written for {VERSION}; it is not started")
    replacements: list[tuple[type | ModuleType, str, tuple[str, ...], Callable[..., Any]]] = [
        (Reactor, "_wait_for_io", ("self", "sleeptime"), wait_for_io),
        (Reactor, "active_peers", ("self",), active_peers),
        (Reactor, "_pending_adjribout", ("self",), nothing_pending),
        (Peer, "run", ("self",), visit(Peer.run)),
        (KA, "__init__", ("self", "session", "proto"), show_timer(KA.__init__)),
        (Peer, "reconfigure", ("self", "restart_neighbor"), keep_queues(Peer.reconfigure)),
        (Peer, "reestablish", ("self", "restart_neighbor"), define_anew(Peer.reestablish)),
        (Peer, "handle_connection", ("self", "connection"), check_incoming_ttl(Peer.handle_connection)),
        (
            Listener,
            "_listen",
            ("self", "local_ip", "peer_ip", "local_port", "use_md5", "md5_base64", "ttl_in"),
            send_gtsm_ttl(Listener._listen),
        ),
        (Listener, "incoming", ("self",), accept_all),
        (Listener, "new_connections", ("self",), take_up_connections),
        (Connection, "_reader", ("self", "number"), read_ahead(Connection._reader)),
        (Neighbor, "remove_self", ("self", "changes"), copy_prefix_only(Neighbor.remove_self)),
        (ASYNC, "run", ("self",), run_commands(ASYNC.run)),
        (Processes, "_start", ("self", "process"), use_pipes(commands, events)),
        (announce, "match_neighbors", ("peers", "descriptions"), find_peers),
        (delay.Delay, "increase", ("self",), increase_capped(delay.Delay.increase)),
        (Update, "unpack_message", ("data", "direction", "negotiated"), keep_plain(Update.unpack_message)),
        (response_json.JSON, "update", UPDATE_PARAMETERS, hand_on_plain(response_json.JSON.update)),
        (Attributes, "parse", ("self", "data", "direction", "negotiated"), parse_as_rfc_7606(Attributes.parse)),
        (MPRNLRI, "unpack", ("data", "direction", "negotiated"), ignore_other_families(MPRNLRI.unpack)),
        (MPURNLRI, "unpack", ("data", "direction", "negotiated"), ignore_other_families(MPURNLRI.unpack)),
    ]
    for owner, name, expected, _ in replacements:
        found = tuple(inspect.signature(getattr(owner, name)).parameters)
        if found != expected:
            raise UnknownReleaseError(
                f"patch ExaBGP's {owner.__name__}.{name}: it takes {found}, not {expected}; it is not started"
            )
    for module in (timer, delay, cache):
        if getattr(module, "time", None) is not time:
            raise UnknownReleaseError(
                f"patch ExaBGP's {module.__name__}: it does not read the clock by time.time; it is not started"
            )
    for owner, name, _, replacement in replacements:
        setattr(owner, name, replacement)
    for module in (timer, delay, cache):
        setattr(module, "time", MonotonicClock)  # noqa: B010  (mypy knows these modules too well)
    response_json.socket = FixedHostName(socket.gethostname())
    sort_attributes_as_rfc_7606()


class MonotonicClock:
    """Takes the place of the time module where ExaBGP measures how long something took.

    As released its hold, keepalive and reconnect timers follow the wall clock: a step forward ends every session at
    once, after a step back no keepalive is sent, and no peer is dialled, for as long as the step was.
    """

    @staticmethod
    def time() -> float:
        return time.monotonic()


class FixedHostName:
    """Takes the place of the socket module in ExaBGP's JSON encoder, which asks it for the host name for each line."""

    def __init__(self, name: str) -> None:
        self._name = name

    def gethostname(self) -> str:
        return self._name


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


def poll_milliseconds(reactor: Any, sleeptime: int) -> int:
    """Return for how many milliseconds nothing can become due, unless a descriptor says so."""
    if not sleeptime or not reactor.asynchronous.ready():
        return 0
    now = time.monotonic()
    if now >= getattr(reactor, "felix_due_at", 0.0):
        reactor.felix_due_at = min(map(due_at, filter(is_up, reactor._peers.values())), default=math.inf)
    wait = int(min(sleeptime, max(0, (reactor.felix_due_at - now) * 1000) + 1))
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
    all of them costs as well: there is one after commands and new connections, and each half second; in the turns
    between, those are looked at that had something to do, or have it by their socket.
    """
    now, peers = time.monotonic(), reactor._peers
    reactor.felix_turn_ends = now + TURN_SECONDS
    ready: set[int] = getattr(reactor, "felix_ready", set())
    looked_at: Iterable[str] = peers
    if stirred(reactor, now):
        reactor.felix_look_at = now + TIMERS_SECONDS
        reactor.felix_sockets = {peer.socket(): key for key, peer in peers.items()}
    else:
        by_socket = reactor.felix_sockets
        by_socket.update({peers[key].socket(): key for key in reactor.felix_busy if key in peers})
        looked_at = reactor.felix_busy | {by_socket[each] for each in ready if each in by_socket}
    reactor.felix_busy = {key for key in looked_at if key in peers and has_work(peers[key], ready, now)}
    return set(reactor.felix_busy)


def stirred(reactor: Any, now: float) -> bool:
    """Whether any peer may have something to do by now."""
    commanded = getattr(reactor.asynchronous, "felix_ran", False)
    known, reactor.felix_known = getattr(reactor, "felix_known", -1), len(reactor._peers)
    reactor.asynchronous.felix_ran = False
    return commanded or known != reactor.felix_known or now >= getattr(reactor, "felix_look_at", 0.0)


def is_up(peer: Any) -> bool:
    up: bool = peer.established()
    return up


def due_at(peer: Any) -> float:
    """Return when a peer is to be visited for its timers; at once if it never was."""
    moment: float = getattr(peer, "felix_due_at", 0.0)
    return moment


def next_due(peer: Any, now: float) -> float:
    """Return when a timer of a peer that was just visited is over. They count whole seconds, so many are at once."""
    hold, keepalive = peer.recv_timer, getattr(peer, "felix_send_timer", None)
    ends = [now + SAFETY_SECONDS]
    if hold and hold.holdtime:
        ends.append(hold.last_read + hold.holdtime + 1)
    if keepalive and keepalive.keepalive:
        ends.append(keepalive.last_sent + keepalive.keepalive)
    return float(max(now + TIMERS_SECONDS, min(ends)))


def show_timer(released: Callable[[Any, Any, Any], None]) -> Callable[[Any, Any, Any], None]:
    """Return KA.__init__ that leaves its timer with the peer, for the function above."""

    def init(keepalives: Any, session: Any, proto: Any) -> None:
        released(keepalives, session, proto)
        proto.peer.felix_send_timer = keepalives.send_timer

    return init


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
        return action

    return run


def read_ahead(released: Callable[[Any, int], Iterator[bytes]]) -> Callable[[Any, int], Iterator[bytes]]:
    """Return Connection._reader that reads all there is at once.

    As released each message costs two looks at the socket and two reads. What is waited for, and what ends the
    connection, is as released.
    """
    from exabgp.reactor.network.error import LostConnection, error
    from exabgp.util.errstr import errstr

    def read(connection: Any, number: int) -> Iterator[bytes]:
        unread = connection.__dict__.setdefault("felix_unread", bytearray())
        while len(unread) < number:
            try:
                more = connection.io.recv(READ_BYTES) if connection.io else b""
            except OSError as reason:
                if reason.errno in error.block:
                    yield b""
                    continue
                connection.close()
                raise LostConnection(f"issue reading on the socket: {errstr(reason)}") from None
            if not more:
                yield from released(connection, number)  # which finds that the connection has ended, and raises
                return
            unread += more
        message = bytes(unread[:number])
        del unread[:number]
        connection.felix_taken = getattr(connection, "felix_taken", 0) + number
        yield message

    return read


def bytes_taken(peer: Any) -> int:
    """Return how much of what a peer sent has been handled in this connection."""
    return getattr(peer.proto.connection, "felix_taken", 0) if peer.proto else 0


def was_read_ahead(peer: Any) -> bool:
    """Whether there is more from a peer that the poll set no longer shows."""
    return bool(peer.proto and getattr(peer.proto.connection, "felix_unread", b""))


def nothing_pending(reactor: Any) -> bool:
    """Return that no announcement waits, so that a reload is carried out.

    As released a reload asked for while any announcement waits, be it for a peer that is away, is forgotten.
    """
    return False


def keep_queues(released: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Return Peer.reconfigure that keeps end-of-RIBs and refreshes accepted but not sent when a reload comes."""

    def reconfigure(peer: Any, restart_neighbor: Any = None) -> None:
        before = peer.neighbor
        released(peer, restart_neighbor)
        for queue in ("eor", "refresh", "messages"):
            if peer.neighbor is not before:
                getattr(peer.neighbor, queue).extend(getattr(before, queue))

    return reconfigure


def define_anew(released: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Return Peer.reestablish under which a session that is not up takes its new definition at once.

    As released it is told to end, which nothing carries out while it is down: the next one, of the old definition, ends
    with a NOTIFICATION as soon as it has come up, and until then the list of sessions shows the old definition.
    """

    def reestablish(peer: Any, restart_neighbor: Any = None) -> None:
        released(peer, restart_neighbor)
        if not peer.established():
            peer._reset("its definition has changed")
            peer._delay.reset()

    return reestablish


def run_commands(released: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return ASYNC.run that works commands off for some milliseconds instead of fifty steps."""
    from exabgp.logger import log

    def run(asynchronous: Any) -> bool:
        deadline = time.monotonic() + COMMANDS_SECONDS
        asynchronous.felix_ran = bool(asynchronous._async) or getattr(asynchronous, "felix_ran", False)
        while asynchronous._async and time.monotonic() < deadline:
            uid, callback = asynchronous._async.popleft()
            if not inspect.isgenerator(callback):
                asynchronous._async.appendleft((uid, callback))
                return released(asynchronous)
            try:
                for _ in callback:
                    if time.monotonic() >= deadline:
                        asynchronous._async.appendleft((uid, callback))
                        return True
            except Exception as exc:
                failure = f"async | {uid} | {exc}"
                log.error(lambda failure=failure: failure, "reactor")
                asynchronous._notify_error(uid)
        return bool(asynchronous._async)

    return run


def copy_prefix_only(released: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return Neighbor.remove_self that copies of an announcement what differs from peer to peer, the prefix.

    As released it copies attributes and all, deeply, for every peer: half of the time an announcement takes.
    """

    def remove_self(neighbor: Any, change: Any) -> Any:
        if change.nlri.nexthop.SELF:
            return released(neighbor, change)
        return type(change)(copy.copy(change.nlri), change.attributes)

    return remove_self


def check_incoming_ttl(released: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return Peer.handle_connection that holds a session the peer dialled to the neighbour's `incoming-ttl`.

    As released only what we dial is, or every peer that dials the same address (RFC 5082 is per neighbour).
    """
    from exabgp.reactor.network.tcp import set_minimum_ttl

    def handle_connection(peer: Any, connection: Any) -> Any:
        lowest = peer.neighbor["incoming-ttl"]
        if lowest and connection.io:
            set_minimum_ttl(connection.io, connection.afi, connection.peer, lowest)
        return released(peer, connection)

    return handle_connection


def accept_all(listener: Any) -> bool:
    """Listener.incoming that accepts whatever waits; return whether there is a connection to be taken up.

    As released it accepts one in each turn of the loop, and what does not fit into the queue meanwhile is dropped.
    """
    from exabgp.logger import log

    for listening in listener._sockets if listener.serving else ():
        try:
            while True:
                accepted, _ = listening.accept()
                listener._accepted[accepted] = accepted
        except BlockingIOError:
            pass  # none waits any more
        except OSError as refused:
            log.critical(lambda refused=refused: str(refused), "network")
    return bool(listener._accepted)


def take_up_connections(listener: Any) -> Iterator[None]:
    """Listener.new_connections that finds the peer of each connection by both of its addresses.

    As released it compares each connection with every peer, and leaves the others when one has no peer.
    """
    import uuid

    from exabgp.reactor.listener import set_accepted_ttl

    reactor = listener._reactor
    by_addresses = {
        (peer.neighbor["peer-address"].top(), peer.neighbor["local-address"].top()): peer
        for peer in reactor._peers.values()
    }
    for connection in listener._connected():
        peer = by_addresses.get((connection.local, connection.peer))  # ExaBGP has the peer's in `local`
        if peer is None:
            refusal = connection.notification(6, 3, "no session configured for the peer")
            reactor.asynchronous.schedule(str(uuid.uuid1()), "sending notification (6,3)", refusal)
        else:
            set_accepted_ttl(connection, peer.neighbor)
            peer.handle_connection(connection)  # one that it does not keep is closed with its last reference
        yield


def find_peers(peers: Iterable[str], descriptions: Sequence[Sequence[str]]) -> list[str]:
    """Return the names of the peers that a command is for, each described by `neighbor ADDRESS`; all if by nothing.

    As released each name is searched for each description, which is most of what it costs to tell each of many peers
    the end of our routes.
    """
    if not descriptions:
        return list(peers)
    described = {description[0] for description in descriptions}
    return [name for name in peers if " ".join(name.split(" ", 2)[:2]) in described]


def send_gtsm_ttl(released: Callable[..., None]) -> Callable[..., None]:
    """Return Listener._listen whose sockets answer with the TTL that peers with TTL security ask for.

    As released the answer to their SYN bears 64, and they never see it.
    """
    from exabgp.protocol.family import AFI
    from exabgp.reactor.network.tcp import GTSM_SENDING_TTL, set_sending_ttl

    def listen(listener: Any, local_ip: Any, peer_ip: Any, *more: Any) -> None:
        listener._backlog = CONNECTIONS_WAITING
        released(listener, local_ip, peer_ip, *more)
        for listening, (address, *_) in listener._sockets.items():
            family = AFI.ipv6 if listening.family == socket.AF_INET6 else AFI.ipv4
            set_sending_ttl(listening, family, address, GTSM_SENDING_TTL)

    return listen


def sort_attributes_as_rfc_7606() -> None:
    """Have no attribute that is wrong in itself end a session, but those that hold prefixes (RFC 7606 §3).

    As released ORIGINATOR_ID, CLUSTER_LIST, AS4_PATH, AS4_AGGREGATOR and others do.
    """
    from exabgp.bgp.message.update.attribute import Attribute, Attributes

    code = Attribute.CODE
    withdraw = {*Attributes.TREAT_AS_WITHDRAW, code.ORIGINATOR_ID, code.CLUSTER_LIST, code.PMSI_TUNNEL}
    discard = {*Attribute.attributes_known} - withdraw - {code.MP_REACH_NLRI, code.MP_UNREACH_NLRI}
    Attributes.TREAT_AS_WITHDRAW = tuple(sorted(withdraw))
    Attributes.DISCARD = tuple(sorted(discard))
    # Of these an empty one is wrong like any other of a wrong length: it is discarded.
    Attributes.VALID_ZERO = tuple(sorted({*Attributes.VALID_ZERO, *discard}))


def parse_as_rfc_7606(released: Callable[..., Any]) -> Callable[..., Any]:
    """Return Attributes.parse that takes the attributes an UPDATE received has, as `sorted_out` leaves them."""
    from exabgp.bgp.message.direction import Direction
    from exabgp.bgp.message.update.attribute.attributes import TreatAsWithdraw

    def parse(attributes: Any, data: bytes, direction: int, negotiated: Any) -> Any:
        if direction != Direction.IN or negotiated is None:
            return released(attributes, data, direction, negotiated)
        external = negotiated.local_as != negotiated.peer_as
        kept, wrong = sorted_out(data, external=external, four_octets=negotiated.asn4)
        parsed = released(attributes, kept, direction, negotiated)
        if wrong is not None:
            parsed.add(TreatAsWithdraw(wrong))
        return parsed

    return parse


def sorted_out(data: bytes, *, external: bool, four_octets: bool) -> tuple[bytes, int | None]:
    """Return path attributes without those that do not count, and the code of one that withdraws all announcements.

    What does not count: a second one of a kind (RFC 7606 §3 g), what only internal peers may send (§7.5, 7.9, 7.10),
    and what only peers with two-octet AS numbers may (RFC 6793 §4.1). Announcements without AS_PATH are withdrawn too
    (§3 d). An attribute that is longer than the rest is ExaBGP's to judge.

    external: whether the peer is of another AS. four_octets: whether both ends have four-octet AS numbers.
    """
    kept, seen, wrong, position = bytearray(), set[int](), None, 0
    ignored = {*(OF_INTERNAL_PEERS if external else ()), *(OF_TWO_OCTET_PEERS if four_octets else ())}
    while position < len(data):
        flags, code, begin, end = attribute_at(data, position)
        if end > len(data):
            kept += data[position:]
            break
        if code not in ignored and (code not in seen or code in HOLD_PREFIXES):
            if wrong is None and is_wrong(flags, code, data[begin:end], 4 if four_octets else 2):
                wrong = code
            kept.append(flags & ~PARTIAL if FLAGS.get(code) == TRANSITIVE else flags)
            kept += data[position + 1 : end]
        seen.add(code)
        position = end
    if wrong is None and AS_PATH not in seen and seen & {NEXT_HOP, MP_REACH}:
        wrong = AS_PATH
    return bytes(kept), wrong


def attribute_at(data: bytes, position: int) -> tuple[int, int, int, int]:
    """Return flags, code, begin and end of the attribute at a position; one that is cut ends behind the data."""
    flags = data[position]
    size = 4 if flags & EXTENDED_LENGTH else 3
    begin = position + size
    if begin > len(data):
        return flags, 0, begin, begin
    return flags, data[position + 1], begin, begin + int.from_bytes(data[position + 2 : begin])


def is_wrong(flags: int, code: int, value: bytes, asn_bytes: int) -> bool:
    """Whether an attribute withdraws announcements for what ExaBGP as released takes.

    For its flags (RFC 7606 §3 c), as an unknown well-known attribute, an ORIGIN of another length (§7.1), or an AS_PATH
    (§7.2).
    """
    if code in HOLD_PREFIXES:
        return False
    if (flags ^ FLAGS.get(code, flags | OPTIONAL)) & (OPTIONAL | TRANSITIVE):
        return True
    return (code == ORIGIN and len(value) != 1) or (code == AS_PATH and not is_as_path(value, asn_bytes))


def is_as_path(value: bytes, asn_bytes: int) -> bool:
    """Whether this is a sequence of whole segments of known kinds, none of them empty."""
    position = 0
    while position < len(value):
        if position + 2 > len(value) or value[position] not in SEGMENT_KINDS or not value[position + 1]:
            return False
        position += 2 + value[position + 1] * asn_bytes
    return position == len(value)


class PlainUpdate:
    """An UPDATE that is handed on as it came, in place of ExaBGP's own object."""

    ID = 2
    TYPE = bytes([ID])
    EOR = False
    nlris: tuple[()] = ()
    attributes: tuple[()] = ()

    def __init__(self, body: bytes) -> None:
        self.body = body


def keep_plain(released: Callable[..., Any]) -> Any:
    """Return Update.unpack_message that leaves it to the sidecar to decode what is plain.

    That takes ExaBGP and JSON most of the time that a flood of updates lasts. Everything else is decoded as released,
    so that ExaBGP answers what ends a session.
    """
    from exabgp.bgp.message.direction import Direction
    from exabgp.protocol.family import AFI, SAFI

    def unpack_message(cls: Any, data: bytes, direction: int, negotiated: Any) -> Any:
        may_be = (
            direction == Direction.IN and negotiated.asn4 and not negotiated.addpath.receive(AFI.ipv4, SAFI.unicast)
        )
        if may_be and is_plain(data, external=negotiated.local_as != negotiated.peer_as):
            return PlainUpdate(data)
        return released(data, direction, negotiated)

    return classmethod(unpack_message)


def hand_on_plain(released: Callable[..., str]) -> Callable[..., str]:
    """Return JSON.update that writes a plain UPDATE as `update PEER HEX`, its body in hexadecimal digits."""

    def update(encoder: Any, neighbor: Any, direction: str, update: Any, *more: Any) -> str:
        if isinstance(update, PlainUpdate):
            return f"update {neighbor['peer-address']} {update.body.hex()}"
        return released(encoder, neighbor, direction, update, *more)

    return update


def is_plain(data: bytes, *, external: bool) -> bool:
    """Whether an UPDATE has nothing but IPv4 networks, with attributes that are right and of the usual kinds.

    Both ends have four-octet AS numbers, and there is no path identifier (RFC 7911). An end-of-RIB is not plain.
    """
    withdrawn_end = 2 + int.from_bytes(data[:2])
    begin = withdrawn_end + 2
    end = begin + int.from_bytes(data[withdrawn_end:begin])
    if end > len(data) or not are_networks(data, 2, withdrawn_end) or not are_networks(data, end, len(data)):
        return False
    if end == len(data):  # nothing is announced
        return begin == end and withdrawn_end > 2
    return are_plain_attributes(data[begin:end], external=external)


def are_networks(data: bytes, position: int, end: int) -> bool:
    """Whether these bytes are IPv4 networks, each as its length and as many bytes as that takes (RFC 4271 §4.3)."""
    while position < end:
        length = data[position]
        if length > 32:
            return False
        position += 1 + (length + 7 >> 3)
    return position == end


def are_plain_attributes(data: bytes, *, external: bool) -> bool:
    """Whether path attributes are right, each there once, none of others than PLAIN, and the mandatory ones there."""
    seen, position = set[int](), 0
    while position < len(data):
        flags, code, begin, end = attribute_at(data, position)
        size = PLAIN.get(code)
        if size is None or end > len(data) or code in seen or (external and code in OF_INTERNAL_PEERS):
            return False
        if flags & ~EXTENDED_LENGTH != FLAGS[code] or (begin == end and code != AS_PATH) or (end - begin) % size:
            return False
        if code in OF_ONE_VALUE and end - begin != size:
            return False
        if code == ORIGIN and data[begin] > LAST_ORIGIN:
            return False
        if code == AS_PATH and not is_plain_as_path(data[begin:end]):
            return False
        seen.add(code)
        position = end
    return seen.issuperset((ORIGIN, AS_PATH, NEXT_HOP))


def is_plain_as_path(value: bytes) -> bool:
    """Whether it is right, of four-octet numbers, none of which is 0 (RFC 7607 §2)."""
    if not is_as_path(value, 4):
        return False
    position = 0
    while position < len(value):
        begin, position = position + 2, position + 2 + value[position + 1] * 4
        if any(value[number : number + 4] == bytes(4) for number in range(begin, position, 4)):
            return False
    return True


def ignore_other_families(released: Callable[..., Any]) -> Any:
    """Return the unpack of MP_REACH_NLRI or MP_UNREACH_NLRI that passes over a family that was not negotiated.

    As released it ends the session, and with it the families that were.
    """

    def unpack(cls: Any, data: bytes, direction: int, negotiated: Any) -> Any:
        from exabgp.protocol.family import AFI, SAFI

        family = int.from_bytes(data[:2]), data[2] if len(data) > 2 else 0
        if negotiated and len(data) > 2 and family not in negotiated.families:
            return cls(AFI.create(family[0]), SAFI.create(family[1]), [])
        return released(data, direction, negotiated)

    return classmethod(unpack)


class LinesOfATurn:
    """The pipe that events and answers are written to. What one turn of the loop says is written at once, at its end.

    As released each line is a write of its own, and wakes its reader.
    """

    def __init__(self, descriptor: int) -> None:
        self._pipe = os.fdopen(descriptor, "wb", buffering=0)
        self._lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        self._lines.append(line)

    def flush(self) -> None:
        """ExaBGP's, after each line."""

    def send(self) -> None:
        """Write all of it; wait while the pipe is full. Raises OSError: nobody reads it any more."""
        left = memoryview(b"".join(self._lines))
        self._lines.clear()
        while left:
            left = left[self._pipe.write(left) :]


class InheritedPipes:
    """Our two pipe ends, where ExaBGP expects the child it would have started."""

    def __init__(self, commands: int, events: int, orderly: Callable[[], bool]) -> None:
        os.set_blocking(commands, False)
        self.stdout = os.fdopen(commands, "rb", buffering=0)
        self.stdin = LinesOfATurn(events)
        self._orderly = orderly

    def poll(self) -> None:
        """A child's exit status; ours never is one: that the sidecar is gone shows by the end of its pipe."""

    def terminate(self) -> None:
        self.stdin.send()
        if not self._orderly():
            os.kill(os.getpid(), signal.SIGTERM)

    def wait(self, timeout: float | None = None) -> int:
        return 0

    def kill(self) -> None:
        self.terminate()


def use_pipes(commands: int, events: int) -> Callable[[Any, str], None]:
    """Return Processes._start that uses the inherited descriptors in place of a child."""
    from exabgp.reactor.api.response import Response
    from exabgp.version import json as json_version

    def start(processes: Any, process: str) -> None:
        if process in processes._process or process not in processes._configuration:
            return
        processes._encoder[process] = Response.JSON(json_version)
        processes._ackjson[process] = False
        processes._ack[process] = True
        processes._restart[process] = False
        processes._process[process] = InheritedPipes(commands, events, lambda: processes.silence)
        processes._update_fds()

    return start


def increase_capped(released: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return Delay.increase that pauses 5 s at most before the next attempt, not 60."""

    def increase(delay: Any) -> None:
        released(delay)
        delay._next = min(delay._next, RECONNECT_SECONDS)

    return increase


if __name__ == "__main__":
    main()
