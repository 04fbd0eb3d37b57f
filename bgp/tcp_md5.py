"""What the kernel counts of TCP MD5 signatures (RFC 2385) that do not fit: likely reasons for a session that is down.

Pure. Whoever signs otherwise gets no answer, and ExaBGP hears nothing of it. The counters are of the whole network
namespace: whose packets they are, they do not say.
"""

from __future__ import annotations

RECENTLY_SECONDS = 30.0
NO_ANSWER = "no answer yet, and a peer with another password gives none"
_WITH_PASSWORD = {
    "TCPMD5Failure": "a peer signs with another password",
    "TCPMD5NotFound": "a peer does not sign: it has no password, or nothing listens there",
}
_WITHOUT_PASSWORD = {"TCPMD5Unexpected": "a peer signs: it has a password, and none is set here"}


class SignatureCounters:
    """Which of them have grown lately. They are told by the text of /proc/net/netstat, again and again.

    After a text without them, what has been counted meanwhile is no growth.
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._grew: dict[str, float] = {}

    def fold(self, netstat: str, now: float) -> None:
        counts = read_counters(netstat)
        for name, count in counts.items():
            if count > self._counts.get(name, count):
                self._grew[name] = now
        self._counts = counts

    def likely_reason(self, now: float, *, has_password: bool, dials: bool) -> str:
        """Return why a session may be down, with or without a password. dials: whether it waits for an answer now."""
        for name, reason in (_WITH_PASSWORD if has_password else _WITHOUT_PASSWORD).items():
            if now - self._grew.get(name, -RECENTLY_SECONDS) < RECENTLY_SECONDS:
                return f"{reason} (the kernel's {name} grows)"
        return NO_ANSWER if has_password and dials else ""


def read_counters(netstat: str) -> dict[str, int]:
    """Return the counters of signatures: each of the file's groups is a line of names and a line of numbers."""
    lines = [line.split() for line in netstat.splitlines()]
    for names, numbers in zip(lines[::2], lines[1::2], strict=False):
        if names[:1] == numbers[:1] == ["TcpExt:"]:
            found = dict(zip(names[1:], numbers[1:], strict=False))
            wanted = (*_WITH_PASSWORD, *_WITHOUT_PASSWORD)
            return {name: int(found[name]) for name in wanted if found.get(name, "").isdigit()}
    return {}
