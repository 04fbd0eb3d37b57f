"""The one process of a lab's pod: it holds the pod's network namespace and pings for whoever asks on standard input.

Started as a script by `python -I -S`, dozens at a time: it imports of the standard library what it must, and nothing of
ours. A request and its answer are one JSON line each:

    {"ping": ["10.65.1.0"], "seconds": 1}        → {"answered": {"10.65.1.0": 0.21}}    (milliseconds)
    {"stream": "10.65.1.0", "per_second": 100}   → {"streaming": "10.65.1.0"}
    {"report": 1043.2}                           → {"sent": 500, "unanswered": [1044.71]}   (monotonic seconds, both)
    {"stop": true}                               → {"sent": 812, "lost": 0}
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import select
import socket
import struct
import sys
import time

NEWNET = 0x40000000
BIND = 0x1000
GRACE_SECONDS = 1.0
REPLIES = {4: 0, 6: 129}
# ICMP_FILTER of linux/icmp.h at SOL_RAW, and ICMP6_FILTER of RFC 3542 §3.2: a bit is a type that does not pass.
FILTERS = {4: (255, 1), 6: (socket.IPPROTO_ICMPV6, 1)}
SENT_BETWEEN_READS = 32


class Echo:
    """Echo requests out, the replies that belong to them in. A sequence number is used once in 65,536."""

    def __init__(self) -> None:
        self._sockets: dict[int, socket.socket] = {}
        self._sent: dict[int, float] = {}
        self._given_up: list[float] = []
        self._sequence = 0
        self._ident = os.getpid() & 0xFFFF
        self.round_trips: dict[int, float] = {}

    def send(self, address: str) -> int:
        """Send one request; return its sequence number. An unreachable network counts as a lost packet."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        kind = 128 if ":" in address else 8
        packet = struct.pack("!BBHHH", kind, 0, 0, self._ident, self._sequence) + b"felix-lab-echo--"
        if kind == 8:
            packet = packet[:2] + checksum(packet) + packet[4:]
        if self._sequence in self._sent:  # 65,536 packets ago
            self._given_up.append(self._sent.pop(self._sequence))
        self._sent[self._sequence] = time.monotonic()
        with contextlib.suppress(OSError):  # no route yet: the missing reply says so
            self._socket(address).sendto(packet, (address, 0))
        return self._sequence

    def outstanding(self) -> int:
        return len(self._sent)

    def unanswered(self, since: float = 0.0) -> list[float]:
        """Return when the requests without a reply were sent, of those since a moment of the monotonic clock."""
        return [round(sent, 4) for sent in (*self._given_up, *self._sent.values()) if sent >= since]

    def descriptors(self) -> list[socket.socket]:
        return list(self._sockets.values())

    def receive(self) -> None:
        """Read all replies that have arrived into `round_trips`, in milliseconds by sequence number."""
        for version, sock in self._sockets.items():
            while True:
                try:
                    packet = sock.recv(2048)
                except (BlockingIOError, OSError):
                    break
                icmp = packet[(packet[0] & 0xF) * 4 :] if version == 4 else packet
                kind, _, _, ident, sequence = struct.unpack("!BBHHH", icmp[:8])
                if kind in (0, 129) and ident == self._ident and sequence in self._sent:
                    self.round_trips[sequence] = (time.monotonic() - self._sent.pop(sequence)) * 1000

    def forget(self) -> None:
        """Start over. A stream of this pod fills this socket too, which then has no room for the next reply."""
        self.receive()
        self._sent.clear()
        self._given_up.clear()
        self.round_trips.clear()

    def _socket(self, address: str) -> socket.socket:
        version = 6 if ":" in address else 4
        if version not in self._sockets:
            family, protocol = (
                (socket.AF_INET6, socket.IPPROTO_ICMPV6) if version == 6 else (socket.AF_INET, socket.IPPROTO_ICMP)
            )
            self._sockets[version] = sock = socket.socket(family, socket.SOCK_RAW, protocol)
            sock.setsockopt(*FILTERS[version], all_but(version))
            sock.setblocking(False)
        return self._sockets[version]


def all_but(version: int) -> bytes:
    """Return the filter that lets only replies pass: what others ask of this pod would fill the socket meanwhile."""
    words, reply = 1 if version == 4 else 8, REPLIES[version]
    return struct.pack(
        f"={words}I", *(~(1 << reply % 32) & 0xFFFFFFFF if i == reply // 32 else 0xFFFFFFFF for i in range(words))
    )


def checksum(packet: bytes) -> bytes:
    total = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    total = (total >> 16) + (total & 0xFFFF)
    return struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF)


def ping(echo: Echo, addresses: list[str], seconds: float) -> dict[str, float]:
    """Ping all addresses at once; return the round-trip time of those that answered within `seconds`."""
    echo.forget()
    asked = {}
    for i, address in enumerate(addresses):
        asked[echo.send(address)] = address
        if i % SENT_BETWEEN_READS == 0:  # or the replies to the first would not fit beside those to the last
            echo.receive()
    await_replies(echo, seconds)
    return {asked[sequence]: round(ms, 3) for sequence, ms in echo.round_trips.items()}


def stream(echo: Echo, address: str, per_second: float, questions: io.FileIO, answers: io.FileIO) -> None:
    """Ping `address` at a steady pace until `questions` ends; answer each with a report, its end with what was lost."""
    sent, started = 0, time.monotonic()
    while True:
        pause = max(0.0, started + sent / per_second - time.monotonic())
        ready, _, _ = select.select([questions.fileno(), *map(socket.socket.fileno, echo.descriptors())], [], [], pause)
        echo.receive()
        if questions.fileno() in ready:
            question = questions.readline()
            if not question:
                break
            say(answers, {"sent": sent, "unanswered": echo.unanswered(float(question))})
        if time.monotonic() >= started + sent / per_second:
            echo.send(address)
            sent += 1
    await_replies(echo, GRACE_SECONDS)
    say(answers, {"sent": sent, "lost": len(echo.unanswered())})


def say(pipe: io.FileIO, answer: dict[str, object]) -> None:
    pipe.write(json.dumps(answer).encode() + b"\n")


def await_replies(echo: Echo, seconds: float) -> None:
    """Wait until all have answered or the time is over. Replies that came while this process slept count as well."""
    deadline = time.monotonic() + seconds
    left = seconds
    while echo.outstanding() and left > 0:
        left = max(0.0, deadline - time.monotonic())
        select.select(echo.descriptors(), [], [], left)
        echo.receive()


class Stream:
    """A child process that streams, so that the pod answers other requests meanwhile. It ends with its parent."""

    def __init__(self, address: str, per_second: float) -> None:
        questions, self._ask = os.pipe()
        answers, answer = os.pipe()
        self._child = os.fork()
        if not self._child:
            os.close(self._ask)
            stream(Echo(), address, per_second, io.FileIO(questions), io.FileIO(answer, "w"))
            os._exit(0)
        os.close(questions)
        os.close(answer)
        self._answers = os.fdopen(answers)

    def report(self, since: float) -> dict[str, object]:
        os.write(self._ask, f"{since}\n".encode())
        return self._answer()

    def stop(self) -> dict[str, object]:
        os.close(self._ask)
        counts = self._answer()
        self._answers.close()
        os.waitpid(self._child, 0)
        return counts

    def _answer(self) -> dict[str, object]:
        said: dict[str, object] = json.loads(self._answers.readline())
        return said


def make_network_namespace(path: str) -> None:
    """Make a network namespace and bind it to `path`, as a runtime does before it calls the plugin."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEWNET):
        raise OSError(ctypes.get_errno(), "unshare the network of a pod")
    open(path, "x").close()
    if libc.mount(b"/proc/self/ns/net", path.encode(), None, ctypes.c_ulong(BIND), None):
        raise OSError(ctypes.get_errno(), f"bind the network namespace to {path}")


def main() -> None:
    make_network_namespace(sys.argv[1])
    echo, running = Echo(), None
    print(json.dumps({"ready": os.getpid()}), flush=True)
    while line := sys.stdin.readline():
        answer: dict[str, object]
        match json.loads(line):
            case {"ping": addresses, "seconds": seconds}:
                answer = {"answered": ping(echo, addresses, seconds)}
            case {"stream": address, "per_second": per_second}:
                running = Stream(address, per_second)
                answer = {"streaming": address}
            case {"report": since} if running:
                answer = running.report(since)
            case {"stop": _} if running:
                answer, running = running.stop(), None
            case request:
                answer = {"failed": f"not a request: {request}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
