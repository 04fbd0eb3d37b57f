"""The process that owns the BGP sessions: it runs ExaBGP, holds RIB-in and RIB-out, and serves one agent.

Agents come and go: sessions, RIB-in and announcements stay, and the next agent gets a replay. ExaBGP comes and goes:
what was learned stays as stale, what is announced is announced again. It knows neither the datastore nor the kernel.

    state         event                                next state    what is done
    ------------  -----------------------------------  ------------  ---------------------------------------------------
    unconfigured  Configure from an agent              loading       RIB-in gets the neighbours
    loading       ExaBGP took the configuration        converging    neighbours that are gone are forgotten
    loading       ExaBGP refused some sessions of it   loading       those are held back, the others loaded
    loading       it refused all, or a full disk       converging    Problem; loaded again in 15 s; what ran runs on
    converging    every peer: end-of-RIB, or its time  converged     Converged, once while the sidecar runs
    any           Configure                            as it was     loaded when loads rest no more; the latest one wins
    any           Configure that undoes one under way  as it was     what would end a session in vain is not carried out
    any           ExaBGP started                       as it was     routes turn stale; everything is announced again
    any           ExaBGP stopped                       as it was     routes turn stale; Problem if it is final
    any           an agent connects, or disconnects    as it was     a replay, or nothing
    any           `leave`                              ended         everything is withdrawn first, and given time
    any           SIGTERM or SIGINT                    ended         silently: peers keep our routes for a while
    any           ExaBGP cannot be started any more,   ended         silently, to be started anew (bgp/process.py)
                  as another release is installed
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from msgspec.structs import replace

from bgp.agent_server import AgentServer
from bgp.events import PeerDown, PeerUp, SpeakerEvent, SpeakerStarted, SpeakerStopped, UpdateReceived, UpdatesReceived
from bgp.exabgp_config import renderable
from bgp.exabgp_process import ConfigurationRefused, ExaBGPError
from bgp.export_policy import ExportPolicy
from bgp.load_changes import changing, ends_in_vain, exabgps_part
from bgp.load_times import LOAD_AGAIN_SECONDS, Loads
from bgp.repeated_lines import RepeatedLines
from bgp.rib_in import PeerSession, RibIn, SessionState
from bgp.rib_out import RibsOut
from bgp.sender import Sender
from bgp.speaker import Attributes, HeldBackSession, Neighbour, Speaker
from bgp.status_report import disagreements, session_rows, steady_epoch
from bgp.tcp_md5 import SignatureCounters
from net.prefix import Prefix, unpack

log = logging.getLogger("bgp")

# A burst of events, each UPDATE counted, is folded in portions: the agent's socket and the timers get their turn, and
# the agent is told of a few routes at a time. It plans at once what it has heard of, and a pod waits for that.
EVENTS_PER_TURN = 200
TICK_SECONDS = 2.0  # what it looks for lasts minutes, and with many peers each look costs
ALL_SENT_SECONDS = 10.0
LEAVE_SECONDS = 1.0  # between the last withdrawal given to ExaBGP and its end


class SpeakerProcess(Protocol):
    """ExaBGP, as the sidecar uses it: bgp/exabgp_supervisor.py has the meaning of each verb."""

    def events(self) -> AsyncIterator[SpeakerEvent]: ...
    async def send(self, lines: Sequence[str]) -> list[bool]: ...
    async def reload(self, speaker: Speaker, in_vain: Callable[[], bool]) -> bool: ...
    async def refused_sessions(self, speaker: Speaker) -> dict[str, str]: ...


class Sidecar:
    """All the state of one sidecar. `serve` runs until `stop` is set.

    clock: a monotonic time in seconds; wall_clock: seconds since the epoch, for the report. read_netstat: the kernel's
    counters, as /proc/net/netstat has them.
    """

    def __init__(
        self,
        exabgp: SpeakerProcess,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        read_netstat: Callable[[], str] = lambda: "",
        export_policy: ExportPolicy | None = None,
        load_again_seconds: float = LOAD_AGAIN_SECONDS,
    ) -> None:
        self.stop = asyncio.Event()
        self.converged = False
        self.rib_in = RibIn()
        self.ribs_out = RibsOut(export_policy)
        self.sender = Sender(self.ribs_out, exabgp.send, clock)
        self._exabgp = exabgp
        self._clock, self._wall_clock, self._epoch = clock, wall_clock, wall_clock() - clock()
        self._signatures, self._read_netstat = SignatureCounters(), read_netstat
        self._server = AgentServer(self)
        self._problem = ""
        self._lacking = ""  # what of the configuration the running ExaBGP does not have, as a sentence
        self._repeated: dict[str, RepeatedLines] = {}  # by peer: only those that are configured
        self._speaker: Speaker | None = None
        self._speaker_since = 0.0
        self._loaded: Speaker | None = None
        self._refused: dict[Neighbour, str] = {}  # what ExaBGP did not accept, and why
        self._peers_known = False
        self._loads = Loads(self._load_and_announce, lambda: len(self.rib_in.peers), load_again_seconds)

    async def serve(self, socket_path: Path) -> None:
        async with self._server.listening(socket_path):
            jobs = [
                asyncio.create_task(job)
                for job in (
                    self._read_events(),
                    self.sender.run(),
                    self._loads.run(),
                    self._tick_periodically(),
                    self.stop.wait(),
                )
            ]
            try:
                done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
                for job in done:
                    job.result()
            finally:
                for job in jobs:
                    job.cancel()
                await asyncio.gather(*jobs, return_exceptions=True)

    # Events from ExaBGP

    async def _read_events(self) -> None:
        folded = 0
        async for event in self._exabgp.events():
            self.on_event(event)
            folded += len(event.updates) if isinstance(event, UpdatesReceived) else 1
            if folded >= EVENTS_PER_TURN:
                folded = 0
                await asyncio.sleep(0)

    def on_event(self, event: SpeakerEvent) -> None:
        now = self._clock()
        match event:
            case SpeakerStarted(problem):
                self.rib_in.speaker_lost("ExaBGP was started anew", now)
                self.ribs_out.speaker_started()
                self.sender.running = True
                self._problem, self._lacking = "", problem
                if problem:
                    self._server.problem(problem)
            case SpeakerStopped(reason, final):
                self.sender.running = False
                self.ribs_out.speaker_stopped()
                self.rib_in.speaker_lost(reason, now)
                if final:
                    self._report_problem(reason)
            case PeerUp() | PeerDown():
                self._on_session(event, now)
            case _:
                self.rib_in.fold(event, now)
        if isinstance(event, UpdateReceived) and event.disagreement is not None:
            self._log(event.peer, logging.ERROR, event.disagreement, now)
        self._pass_on_changes()
        if not isinstance(event, UpdateReceived | UpdatesReceived):
            self.sender.wake()
            self._check_convergence(now)

    def _on_session(self, event: PeerUp | PeerDown, now: float) -> None:
        """Fold it in RIB-in and RIB-out, and log what is new: not each of many failed attempts."""
        peer, rib_out = self.rib_in.peers.get(event.peer), self.ribs_out.of(event.peer)
        if peer is None or rib_out is None:
            return
        flaps, error = peer.flaps, peer.last_error
        self.rib_in.fold(event, now)
        if isinstance(event, PeerUp):
            rib_out.up(event.peer, peer.families, now)
            self._log(event.peer, logging.INFO, f"session with {event.peer} (AS {peer.neighbour.peer_as}) is up", now)
            return
        rib_out.down(event.peer)
        if peer.flaps > flaps:
            ended = f"session with {event.peer} ended: {peer.last_error}; {len(peer.stale)} of its routes are stale"
            self._log(event.peer, logging.WARNING, ended, now)
        elif peer.last_error != error:
            failed = f"session with {event.peer} does not come up: {peer.last_error}; attempts go on"
            self._log(event.peer, logging.WARNING, failed, now)

    def _log(self, peer: str, level: int, line: str, now: float) -> None:
        """Log a line that a peer may cause as often as it likes; the lines of one peer never hide another's."""
        for text in self._repeated.setdefault(peer, RepeatedLines()).admit(line, now):
            log.log(level, "%s", text)

    def _pass_on_changes(self) -> None:
        changed, self.rib_in.changed = self.rib_in.changed, set()
        if changed:
            self._server.routes_changed(changed)

    async def _tick_periodically(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.tick()

    def tick(self) -> None:
        """Do what the clock alone makes due: stale routes, convergence, late ends-of-RIB."""
        now = self._clock()
        self.rib_in.expire(now)
        self._watch_limits(now)
        some_down = any(peer.state is not SessionState.UP for peer in self.rib_in.peers.values())
        self._signatures.fold(self._read_netstat() if some_down else "", now)
        self._pass_on_changes()
        self._check_convergence(now)
        if any(rib.end_of_rib_due(now) for rib in self.ribs_out.groups.values()):
            self.sender.wake()

    def _watch_limits(self, now: float) -> None:
        """Say which peers come near to a limit, and ask those for the rest that have come away from one."""
        active, self.rib_in.active = self.rib_in.active, set()
        for address in active & self.rib_in.peers.keys():
            if warning := self.rib_in.peers[address].new_warning():
                beyond = "what is beyond is refused, and the annotation felix-py/prefix-limit of its BGPPeer sets them"
                self._log(address, logging.WARNING, f"{address} uses {warning}; {beyond}", now)
        for peer in self.rib_in.owing_routes(active):
            address = peer.neighbour.address
            room = f"{address} is asked for its routes again: there is room for those refused"
            self._log(address, logging.INFO, room, now)
            self.sender.ask_for_routes(address, peer.families)

    def _check_convergence(self, now: float) -> None:
        if not self.converged and self._peers_known and self.rib_in.converged(now):
            self.converged = True
            log.info("converged: every peer has sent its end-of-RIB or has had its time")
            self._server.converged()

    # The configuration

    def configure(self, speaker: Speaker) -> None:
        """Apply new rules at once; the sessions follow with ExaBGP's, one reload after the other.

        A session that ExaBGP would refuse, or did, is held back with its reason, and the others come up.
        """
        speaker = without_sessions(renderable(speaker), self._refused)
        if self._speaker is None or self._speaker.held_back != speaker.held_back:
            self._speaker_since = self._clock()
        self._speaker = speaker
        self._set_neighbours([peer.neighbour for peer in self.rib_in.peers.values()])
        self._loads.ask()

    def _set_neighbours(self, neighbours: Iterable[Neighbour], new: Collection[str] = ()) -> None:
        assert self._speaker is not None, "neighbours come with a speaker"
        known = tuple(neighbours)
        self.rib_in.configure(known, self._speaker.local, self._clock())
        self.ribs_out.set_neighbours(known, new)
        self._pass_on_changes()

    async def _load_and_announce(self) -> bool:
        loaded = await self.load()
        self.sender.wake()
        return loaded

    async def load(self) -> bool:
        """Make ExaBGP's sessions those of the speaker last configured; False if that failed.

        A peer that is removed stays known until its session is gone: were it forgotten before, and came back before the
        reload, its session would not be reported up again. If the reload fails, it stays.
        """
        speaker = self._speaker
        assert speaker is not None, "a reload is asked for with a speaker"
        self._peers_known = True
        wanted = exabgps_part(speaker)
        if wanted != self._loaded:
            stated = {neighbour.address for neighbour in speaker.neighbours}
            leaving = [peer.neighbour for address, peer in self.rib_in.peers.items() if address not in stated]
            # The process that is started first has all neighbours of its file from its start on.
            unchanged = set((self._loaded or wanted).neighbours)
            new = {neighbour.address for neighbour in wanted.neighbours if neighbour not in unchanged}
            self._set_neighbours((*speaker.neighbours, *leaving), new)
            try:
                if not await self._exabgp.reload(speaker, lambda: ends_in_vain(self._loaded, wanted, self._speaker)):
                    log.info("ExaBGP keeps the sessions that it has: the configuration has changed meanwhile")
                    return True
            except ExaBGPError as error:
                if isinstance(error, ConfigurationRefused) and await self._leave_out_refused(speaker):
                    return True
                if str(error) != self._problem:
                    log.error("%s; next try in %g s", error, self._loads.again_seconds)
                    self._report_problem(str(error))
                return False
            finally:
                self.ribs_out.reload_done()
            self._loaded = wanted
        self._problem = ""
        self._set_neighbours(speaker.neighbours)
        return True

    async def _leave_out_refused(self, speaker: Speaker) -> bool:
        """Hold the sessions back that ExaBGP does not accept, and ask for another load; False: it is none of them."""
        try:
            refused = await self._exabgp.refused_sessions(speaker)
        except ExaBGPError as error:
            log.warning("look for the session that ExaBGP refuses: %s", error)
            return False
        still = {session.address for session in speaker.held_back}
        self._refused = {each: reason for each, reason in self._refused.items() if each.address in still}
        for neighbour in speaker.neighbours:
            if neighbour.address in refused:
                self._refused[neighbour] = f"ExaBGP refuses it: {refused[neighbour.address]}"
                log.error("session with %s is left out: %s", neighbour.address, self._refused[neighbour])
        if refused and self._speaker is not None:
            self.configure(self._speaker)
        return bool(refused)

    def _report_problem(self, text: str) -> None:
        self._problem = text
        self._server.problem(text)

    # What an agent wants announced

    def announce(self, routes: Mapping[Prefix, Attributes]) -> None:
        self.ribs_out.put(routes)
        self.sender.wake()

    def withdraw(self, prefixes: Collection[Prefix]) -> None:
        self.ribs_out.remove(prefixes)
        self.sender.wake()

    def announce_exactly(self, routes: Mapping[Prefix, Attributes]) -> None:
        self.ribs_out.replace(routes)
        self.sender.wake()

    async def leave(self) -> None:
        """Withdraw everything, give it time to reach the peers, and end: they keep nothing of ours as stale."""
        self.announce_exactly({})
        if self.sender.running:
            with suppress(TimeoutError):
                async with asyncio.timeout(ALL_SENT_SECONDS):
                    await self.sender.all_sent()
            await asyncio.sleep(LEAVE_SECONDS)
        log.info("all announcements withdrawn; ending")
        self.stop.set()

    def _likely_reason(self, peer: PeerSession) -> str:
        """Return why a session may be down, as far as signatures and silence tell."""
        has_password = peer.neighbour.password is not None
        dials = peer.state is SessionState.DOWN and not peer.neighbour.passive
        return self._signatures.likely_reason(self._clock(), has_password=has_password, dials=dials)

    def report(self) -> dict[str, Any]:
        """Return what status shows; times are seconds since the epoch."""
        speaker = self._speaker
        self._epoch = steady_epoch(self._epoch, self._wall_clock() - self._clock())
        peers = self.rib_in.peers
        return {
            "name": speaker.name if speaker else None,
            "router_id": unpack(speaker.router_id) if speaker else None,
            "running": self.sender.running,
            "problem": self._problem or self._lacking or disagreements(peers),
            "agent": self._server.has_agent,
            "complete": self.ribs_out.complete,
            "converged": self.converged,
            "learned": len(self.rib_in.prefixes()),
            "peers": session_rows(
                peers,
                speaker.held_back if speaker else (),
                changing=changing(self._loaded, speaker),
                sent_to=self.ribs_out.sent_to,
                likely_reason=self._likely_reason,
                held_back_since=self._speaker_since,
                epoch=self._epoch,
            ),
        }


def without_sessions(speaker: Speaker, refused: Mapping[Neighbour, str]) -> Speaker:
    """Return the speaker with these sessions held back, each with its reason."""
    held_back = (
        HeldBackSession(each.address, each.peer_as, each.kind, refused[each])
        for each in speaker.neighbours
        if each in refused
    )
    return replace(
        speaker,
        neighbours=tuple(each for each in speaker.neighbours if each not in refused),
        held_back=(*speaker.held_back, *held_back),
    )
