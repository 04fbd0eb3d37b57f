"""A proxy in front of a real API server that does to requests and watches what networks and servers do.

Without faults set it passes everything on as it is.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from datastore.kube.access import Access, read_access
from datastore.kube.http2 import ConnectionLost, Http2Connection, connect
from tests.kube.control_plane import kubeconfig
from tests.kube.h2_server import H2Server, Request, serving

EXPIRED = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version: 1 (2)"}


@dataclass
class Faults:
    """What goes wrong from now on; a test sets them while the proxy runs."""

    delay_seconds: float = 0.0
    refuse_streaming_lists: str = ""
    """`status`: by HTTP 422; `event`: by an ERROR event of code 500, as an old etcd does."""
    expire_watches: str = ""
    """`status`: each watch from a revision is answered by HTTP 410; `event`: by an ERROR event of code 410."""
    repeat_events: bool = False
    hold_watches_of: set[str] = field(default_factory=set)
    """The plurals of kinds whose events are held back, so that others overtake them."""
    hold_write: str = ""
    """The beginning of the METHOD PATH of a write that is held back, once, and carried out although its client left."""
    too_many_requests: int = 0
    """How many requests are answered by 429 with Retry-After: 1."""
    lose_answer_to: str = ""
    """The beginning of the METHOD PATH of a write that is carried out, once, and its answer lost."""
    pass_answers: int = 0
    """How many writes are answered before the first answer is lost."""
    lose_requests: int = 0
    """How many writes, after those that are answered, are lost on their way and not carried out."""
    lose_answers: int = 0
    """How many writes are carried out and their answers lost."""
    expire_pages: int = 0
    """How many pages after the first of a list are answered by 410."""
    never_answer: int = 0
    """How many requests get no answer, over a connection that lives."""

    def loses_the_answer(self, write: str) -> bool:
        """Whether the answer to the write that was just carried out is lost."""
        if self.lose_answer_to and write.startswith(self.lose_answer_to):
            self.lose_answer_to = ""
            return True
        return self._loses("lose_answers")

    def loses_the_request(self) -> bool:
        """Whether the write that has come is lost before it is carried out."""
        return self._loses("lose_requests")

    def holds(self, write: str) -> bool:
        """Whether the write that has come is held back."""
        if self.hold_write and write.startswith(self.hold_write):
            self.hold_write = ""
            return True
        return False

    def _loses(self, what: str) -> bool:
        left: int = getattr(self, what)
        if left and self.pass_answers:
            self.pass_answers -= 1
            return False
        setattr(self, what, max(0, left - 1))
        return left > 0


class FaultyProxy:
    def __init__(self, server: H2Server, kubeconfig_path: Path) -> None:
        self.faults = Faults()
        self.requests: list[str] = []
        """METHOD PATH of what was passed on."""
        self._server, self.kubeconfig = server, kubeconfig_path
        self._asleep = 0
        self._truncate = asyncio.Event()
        self._released = asyncio.Event()

    def access(self) -> Access:
        return read_access(str(self.kubeconfig))

    def cut(self) -> None:
        """End every connection."""
        self._server.cut()

    def reset(self) -> None:
        """Reset every connection, by RST."""
        self._server.cut(reset=True)

    def go_silent(self) -> None:
        """Pass nothing on over the connections there are now, without closing them."""
        self._server.go_silent()

    def truncate_watches(self) -> None:
        """End every watch in the middle of a line."""
        self._truncate.set()
        self._truncate = asyncio.Event()

    def release(self) -> None:
        """Pass on what was held back."""
        self.faults.hold_watches_of.clear()
        self._released.set()
        self._released = asyncio.Event()

    def fall_asleep(self) -> None:
        """Pass on no more events of the watches there are now; their connection lives."""
        self._asleep += 1

    async def handle(self, request: Request, upstream: Http2Connection, headers: dict[str, str]) -> None:
        faults = self.faults
        await asyncio.sleep(faults.delay_seconds)
        if faults.never_answer:
            faults.never_answer -= 1
            await request.wait()
        elif faults.too_many_requests:
            faults.too_many_requests -= 1
            await request.answer(429, b"{}", retry_after="1")
        elif "continue=" in request.path and faults.expire_pages:
            faults.expire_pages -= 1
            await request.answer(410, json.dumps(EXPIRED).encode())
        elif "watch=1" in request.path:
            await self._watch(request, upstream, headers)
        else:
            asked = f"{request.method} {request.path}"
            self.requests.append(asked)
            if request.method != "GET" and faults.loses_the_request():
                request.cut()
                return
            if faults.holds(asked):
                await self._released.wait()
            more = {key: text for key, text in request.headers.items() if key in ("accept", "content-type")}
            response = await upstream.request(request.method, request.path, headers | more, request.body)
            if request.method != "GET" and faults.loses_the_answer(asked):
                request.cut()
            else:
                form = response.headers.get("content-type", "application/json")
                await request.answer(response.status, response.body, content_type=form)

    async def _watch(self, request: Request, upstream: Http2Connection, headers: dict[str, str]) -> None:
        from_the_start = "sendInitialEvents" in request.path
        if await self._refused(request, from_the_start):
            return
        self.requests.append(f"{request.method} {request.path}")
        truncated, asleep = self._truncate, self._asleep
        async with upstream.stream("GET", request.path, headers) as stream:
            request.begin(stream.status)
            rest = b""
            while not truncated.is_set() and (part := await _read_until(upstream, stream, truncated)):
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    await self._held(request)
                    while asleep != self._asleep:
                        await request.wait()
                    for _ in range(2 if self.faults.repeat_events else 1):
                        await request.send(line + b"\n")
            await request.send(b'{"type":"MODIFIED","object":{"meta' if truncated.is_set() else rest)
            request.finish()

    async def _refused(self, request: Request, from_the_start: bool) -> bool:
        refusal = {"kind": "Status", "code": 422, "reason": "Invalid", "message": "sendInitialEvents is forbidden"}
        faults = self.faults
        match from_the_start, faults.refuse_streaming_lists if from_the_start else faults.expire_watches:
            case True, "status":
                await request.answer(422, json.dumps(refusal).encode())
            case True, "event":
                await request.answer(200, _event(refusal | {"code": 500}))
            case False, "status":
                faults.expire_watches = ""
                await request.answer(410, json.dumps(EXPIRED).encode())
            case False, "event":
                faults.expire_watches = ""
                await request.answer(200, _event(EXPIRED))
            case _:
                return False
        return True

    async def _held(self, request: Request) -> None:
        plural = request.path.partition("?")[0].rpartition("/")[2]
        while plural in self.faults.hold_watches_of:
            await self._released.wait()


def _event(status: dict[str, object]) -> bytes:
    return json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"


async def _read_until(upstream: Http2Connection, stream: object, ended: asyncio.Event) -> bytes:
    """Return the next part of a stream, or nothing when `ended` is set first."""
    reading = asyncio.ensure_future(upstream.read(stream))  # type: ignore[arg-type]
    ending = asyncio.ensure_future(ended.wait())
    try:
        done, _ = await asyncio.wait((reading, ending), return_when=asyncio.FIRST_COMPLETED)
        return reading.result() if reading in done else b""
    finally:
        reading.cancel()
        ending.cancel()
        await asyncio.gather(reading, ending, return_exceptions=True)


@asynccontextmanager
async def faulty_proxy(upstream_access: Access, folder: Path) -> AsyncIterator[FaultyProxy]:
    """Run a proxy in front of an API server. folder: where its clients' kubeconfig goes."""
    path = folder / "proxy-kubeconfig"
    headers = dict(upstream_access.headers())
    connections: list[Http2Connection] = []

    async def handle(request: Request) -> None:
        a = upstream_access
        try:
            if not (connections and connections[-1].usable):
                connections.append(await connect(a.host, a.port, a.authority, a.tls))
            await proxy.handle(request, connections[-1], headers)
        except (OSError, ConnectionLost):
            request.cut()

    async with serving(handle) as server:
        proxy = FaultyProxy(server, path)
        path.write_text(json.dumps(kubeconfig(f"http://127.0.0.1:{server.port}")))
        try:
            yield proxy
        finally:
            for connection in connections:
                connection.close()
