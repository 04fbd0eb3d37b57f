"""The process that owns the BGP sessions: it runs ExaBGP, holds RIB-in and RIB-out, and serves one agent.

Agents come and go: sessions, RIB-in and announcements stay, and the next agent gets a replay. ExaBGP comes and goes:
what was learned stays as stale, what is announced is announced again. It knows neither the datastore nor the kernel.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from bgp import events, exabgp_commands
from bgp.agent_link import AgentLink
from bgp.events import SpeakerEvent, SpeakerStarted, SpeakerStopped
from bgp.exabgp_process import ExaBGPError
from bgp.exabgp_supervisor import ExaBGP
from bgp.protocol import (
    LINE_LIMIT,
    PER_LINE,
    Announce,
    Complete,
    Configure,
    Hello,
    Problem,
    SidecarMessage,
    StatusReply,
    Withdraw,
    cut,
    decode,
    encode,
)
from bgp.rib_in import RibIn, SessionState
from bgp.rib_out import RibOut
from bgp.speaker import Attributes, ImportPolicy, LocalNode, Neighbour, Speaker
from bgp.status_report import held_back_row, session_row
from net.prefix import Prefix, unpack

log = logging.getLogger("bgp")

# A peer keeps our routes for the restart time and waits for our end-of-RIB; with no agent it must come a bit before.
END_OF_RIB_MARGIN_SECONDS = 20.0
# A burst of events is folded in portions, so that the agent's socket and the timers get their turn.
EVENTS_PER_TURN = 200
TICK_SECONDS = 0.5
# A configuration that ExaBGP did not get (a full disk, a check that took too long) is tried again this much later.
LOAD_AGAIN_SECONDS = 15.0
LEAVE_SECONDS = 1.0
HELLO_SECONDS = 5.0


class Sidecar:
    """All the state of one sidecar. `serve` runs until `stop` is set."""

    def __init__(self, exabgp: ExaBGP) -> None:
        self.stop = asyncio.Event()
        self.rib_in = RibIn()
        self.rib_out = RibOut()
        self._exabgp = exabgp
        self._running = False
        self._problem = ""
        self._speaker: Speaker | None = None
        self._speaker_since = 0.0
        self._loaded: Speaker | None = None
        self._peers_known = False
        self._reload = asyncio.Event()
        self._work = asyncio.Event()
        self._quiet = asyncio.Event()
        self._owed: dict[str, float] = {}  # end-of-RIB not yet sent, by peer: since when it is up
        self._settled = False
        self._link: AgentLink | None = None
        self._leaving = False

    async def serve(self, socket_path: Path) -> None:
        async with self._listening(socket_path):
            jobs = [
                asyncio.create_task(job)
                for job in (self._hear(), self._speak(), self._reconfigure(), self._keep_time(), self.stop.wait())
            ]
            try:
                done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
                for job in done:
                    job.result()
            finally:
                for job in jobs:
                    job.cancel()
                await asyncio.gather(*jobs, return_exceptions=True)

    # What the peers say

    async def _hear(self) -> None:
        turn = 0
        async for event in self._exabgp.events():
            self._take_in(event)
            turn += 1
            if turn % EVENTS_PER_TURN == 0:
                await asyncio.sleep(0)

    def _take_in(self, event: SpeakerEvent) -> None:
        now = time.monotonic()
        match event:
            case SpeakerStarted():
                self.rib_in.speaker_lost("ExaBGP was started anew", now)
                self.rib_out.forget_sent()
                self._owed.clear()
                self._running = True
                self._problem = ""
            case SpeakerStopped(reason, final):
                self._running = False
                self._owed.clear()
                self.rib_in.speaker_lost(reason, now)
                if final:
                    self._report_problem(reason)
            case events.PeerUp() | events.PeerDown():
                self._note_session(event, now)
            case _:
                self.rib_in.fold(event, now)
        self._pass_on()
        if not isinstance(event, events.UpdateReceived):
            self._work.set()
            self._settle(now)

    def _note_session(self, event: events.PeerUp | events.PeerDown, now: float) -> None:
        """Fold it in, owe an end-of-RIB to who comes up, and log what is news: not each of many failed attempts."""
        peer = self.rib_in.peers.get(event.peer)
        if peer is None:
            return
        flaps, error = peer.flaps, peer.last_error
        self.rib_in.fold(event, now)
        if isinstance(event, events.PeerUp):
            self._owed[event.peer] = now
            log.info("session with %s (AS %d) is up", event.peer, peer.neighbour.peer_as)
            return
        self._owed.pop(event.peer, None)
        if peer.flaps > flaps:
            log.warning(
                "session with %s ended: %s; %d of its routes are kept as stale",
                event.peer,
                peer.last_error,
                len(peer.stale),
            )
        elif peer.last_error != error:
            log.warning("session with %s does not come up: %s; attempts go on", event.peer, peer.last_error)

    def _pass_on(self) -> None:
        changed, self.rib_in.changed = self.rib_in.changed, set()
        if changed and self._link is not None:
            self._link.changed(changed)

    async def _keep_time(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            self.rib_in.expire(now)
            self._pass_on()
            self._settle(now)
            if self._owed:
                self._work.set()

    def _settle(self, now: float) -> None:
        if not self._settled and self._peers_known and self.rib_in.settled(now):
            self._settled = True
            log.info("sessions have settled: every peer has sent its end-of-RIB or has had its time")
            if self._link is not None:
                self._link.settle()

    # What we say to the peers

    async def _speak(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            if not self._running:
                continue
            try:
                await self._speak_once()
            except ExaBGPError as error:
                log.warning("announcing stopped: %s; everything is announced again when ExaBGP is back", error)

    async def _speak_once(self) -> None:
        """Send all that waits, each prefix once per batch; then what single peers lack; then the ends-of-RIB owed.

        A peer that comes up, or a route that changes, meanwhile is served by the next round, so no stream of changes
        can hold an end-of-RIB back.
        """
        owed = self._due(time.monotonic())
        for _ in range(0, self.rib_out.pending, PER_LINE):
            batch = self.rib_out.next_batch(PER_LINE)
            if batch:
                if self.rib_in.peers:  # ExaBGP calls it an error when there is nobody to tell
                    await self._send(
                        exabgp_commands.withdraw(batch.withdraw) + exabgp_commands.announce(batch.announce)
                    )
                self.rib_out.answered(batch)
        for address in self._up():
            for portion in cut(self.rib_out.full_table(address)):
                await self._send(exabgp_commands.announce(portion, to=[address]))
        for address in owed:
            if address in self._owed:
                await self._send(exabgp_commands.end_of_rib(address, self.rib_in.peers[address].families))
                self._owed.pop(address, None)
        if self.rib_out.pending or self._due(time.monotonic()):
            self._work.set()
        elif self.rib_out.complete:
            self._quiet.set()

    def _due(self, now: float) -> list[str]:
        """Return the peers that get their end-of-RIB now: all that wait for it, once the table is complete.

        Until then it is held back, for a peer drops whatever it has not heard again by then; but not past the time that
        peers wait for one that restarts.
        """
        return [
            address
            for address, up_since in self._owed.items()
            if (peer := self.rib_in.peers.get(address)) is not None
            and (self.rib_out.complete or now - up_since > _patience(peer.neighbour.restart_time))
        ]

    def _up(self) -> list[str]:
        return [address for address, peer in self.rib_in.peers.items() if peer.state is SessionState.UP]

    async def _send(self, lines: Sequence[str]) -> None:
        if not lines:
            return
        for line, done in zip(lines, await self._exabgp.send(lines), strict=True):
            if not done:
                log.error("tell ExaBGP %r: it answered error; the peers do not get this", line[:200])

    # Who the peers are

    def _configure(self, speaker: Speaker) -> None:
        """Take up new rules at once; the sessions follow with ExaBGP's, one reload after the other."""
        if self._speaker is None or self._speaker.held_back != speaker.held_back:
            self._speaker_since = time.monotonic()
        self._speaker = speaker
        self._know([peer.neighbour for peer in self.rib_in.peers.values()])
        self._reload.set()

    def _know(self, neighbours: Iterable[Neighbour]) -> None:
        assert self._speaker is not None, "neighbours come with a speaker"
        self.rib_in.configure(neighbours, self._speaker.local, time.monotonic())
        self._owed = {address: since for address, since in self._owed.items() if address in self.rib_in.peers}
        self._pass_on()

    async def _reconfigure(self) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            assert self._speaker is not None, "a reload is asked for with a speaker"
            if not await self._load(self._speaker):
                asyncio.get_running_loop().call_later(LOAD_AGAIN_SECONDS, self._reload.set)
            self._peers_known = True
            self._work.set()

    async def _load(self, speaker: Speaker) -> bool:
        """Make ExaBGP's sessions those of the speaker; False if that failed.

        A peer that goes is known until its session has gone: were it forgotten before, and came back before the reload,
        nobody would say again that it is up. If the reload fails, it stays.
        """
        if self._loaded is None or exabgps_part(speaker) != exabgps_part(self._loaded):
            stated = {neighbour.address for neighbour in speaker.neighbours}
            leaving = [peer.neighbour for address, peer in self.rib_in.peers.items() if address not in stated]
            self._know((*speaker.neighbours, *leaving))
            if self._loaded is not None:
                unchanged = set(self._loaded.neighbours)
                self.rib_out.need_full_table(n.address for n in speaker.neighbours if n not in unchanged)
            try:
                await self._exabgp.reload(speaker)
            except ExaBGPError as error:
                if str(error) != self._problem:
                    log.error("%s; next try in %g s", error, LOAD_AGAIN_SECONDS)
                    self._report_problem(str(error))
                return False
            self._loaded = speaker
        self._problem = ""
        self._know(speaker.neighbours)
        return True

    def _report_problem(self, text: str) -> None:
        self._problem = text
        if self._link is not None:
            self._link.notify(Problem(text))

    # The agent

    @asynccontextmanager
    async def _listening(self, socket_path: Path) -> AsyncIterator[None]:
        with suppress(FileNotFoundError):
            socket_path.unlink()
        mask = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(self._accept, socket_path, limit=LINE_LIMIT)
        finally:
            os.umask(mask)
        try:
            yield
        finally:
            server.close()
            if self._link is not None:
                self._link.close()
            with suppress(FileNotFoundError):
                socket_path.unlink()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                hello = decode(await reader.readline())
            match hello:
                case Hello("agent", started):
                    await self._serve_agent(started, reader, writer)
                case Hello("observer"):
                    writer.write(encode(StatusReply(self.report())))
                    await writer.drain()
                case Hello("leave"):
                    await self._leave()
                case other:
                    raise ValueError(f"a connection begins with hello, not with {type(other).__name__}")
        except TimeoutError:
            log.warning("connection closed: it said nothing for %g s", HELLO_SECONDS)
        except (ValueError, ConnectionError) as error:
            log.warning("connection closed: %s", error)
            writer.write(encode(Problem(str(error))))
        finally:
            writer.close()

    async def _serve_agent(self, started: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._leaving:
            return
        if self._link is not None:
            if started < self._link.started:
                raise ValueError("serve an agent: a newer one is being served; this one is let go")
            log.warning("a newer agent has come: the one before it is let go")
            self._link.close()
        link = self._link = AgentLink(writer, self.rib_in, started=started, settled=self._settled)
        telling = asyncio.create_task(link.run())
        stated: dict[Prefix, Attributes] | None = {}
        try:
            while self._link is link and (line := await reader.readline()):
                if self._link is link:
                    stated = self._obey(decode(line), stated)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            if self._link is link:
                self._link = None
                log.info("the agent has gone: sessions, learned routes and announcements stay")

    def _obey(
        self, message: SidecarMessage, stated: dict[Prefix, Attributes] | None
    ) -> dict[Prefix, Attributes] | None:
        """Carry out one line of the agent's. `stated` collects its routes until they are complete, then it is None."""
        match message, stated:
            case Configure(speaker), _:
                self._configure(speaker)
            case Announce(routes), None:
                self.rib_out.put(routes)
            case Announce(routes), dict():
                stated.update(routes)
            case Withdraw(prefixes), None:
                self.rib_out.remove(prefixes)
            case Complete(), dict():
                self.rib_out.replace(stated)
                stated = None
            case _:
                raise ValueError(f"an agent does not send {type(message).__name__} here")
        self._work.set()
        return stated

    async def _leave(self) -> None:
        """Withdraw everything, give it time to reach the peers, and end: they keep nothing of ours as stale."""
        self._leaving = True
        if self._link is not None:
            self._link.close()
            self._link = None
        self._quiet.clear()
        self.rib_out.replace({})
        self._work.set()
        if self._running:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), 10)
            await asyncio.sleep(LEAVE_SECONDS)
        log.info("left for good: all announcements withdrawn")
        self.stop.set()

    def report(self) -> dict[str, Any]:
        """Return what `status` shows; times are seconds since the epoch."""
        speaker = self._speaker
        epoch = time.time() - time.monotonic()
        held_back = speaker.held_back if speaker else ()
        peers = self.rib_in.peers.values()
        return {
            "name": speaker.name if speaker else None,
            "router_id": unpack(speaker.router_id) if speaker else None,
            "running": self._running,
            "problem": self._problem,
            "agent": self._link is not None,
            "complete": self.rib_out.complete,
            "settled": self._settled,
            "announced": len(self.rib_out.sent),
            "learned": len(self.rib_in.prefixes()),
            "peers": [
                *(session_row(peer, self.rib_out.sent, peer.since + epoch) for peer in peers),
                *(held_back_row(session, self._speaker_since + epoch) for session in held_back),
            ],
        }


def _patience(restart_time: int) -> float:
    """Return how long after `up` an end-of-RIB may be held back."""
    return restart_time - min(END_OF_RIB_MARGIN_SECONDS, restart_time / 2)


def exabgps_part(speaker: Speaker) -> Speaker:
    """Return the speaker without what ExaBGP does not need to know: a change of that is no reload."""
    neighbours = tuple(replace(neighbour, import_policy=ImportPolicy()) for neighbour in speaker.neighbours)
    return replace(speaker, neighbours=neighbours, local=LocalNode(0, speaker.router_id), held_back=())
