"""What the kernel's counters say of a session that is down."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgp.tcp_md5 import NO_ANSWER, RECENTLY_SECONDS, SignatureCounters, read_counters


def netstat(missing: int = 0, unexpected: int = 0, wrong: int = 0) -> str:
    counters = f"TcpExt: 5 {missing} {unexpected} {wrong} 7"
    return (
        f"TcpExt: SyncookiesSent TCPMD5NotFound TCPMD5Unexpected TCPMD5Failure TCPX\n{counters}\nIpExt: In\nIpExt: 1\n"
    )


def reasons(*texts: str, after: float = 0.0) -> tuple[str, str]:
    """Return what is said of a session with a password and of one without, `after` the last of these readings."""
    counters = SignatureCounters()
    for text in texts:
        counters.fold(text, 0.0)
    with_password = counters.likely_reason(after, has_password=True, dials=False)
    return with_password, counters.likely_reason(after, has_password=False, dials=True)


def test_a_counter_that_grows_is_a_reason() -> None:
    other = "a peer signs with another password (the kernel's TCPMD5Failure grows)"
    assert reasons(netstat(), netstat(wrong=1)) == (other, "")
    none = "a peer does not sign: it has no password, or nothing listens there (the kernel's TCPMD5NotFound grows)"
    assert reasons(netstat(), netstat(missing=1)) == (none, "")
    here = "a peer signs: it has a password, and none is set here (the kernel's TCPMD5Unexpected grows)"
    assert reasons(netstat(), netstat(unexpected=1)) == ("", here)
    assert reasons(netstat(), netstat(missing=3, wrong=1))[0] == other


def test_a_session_with_a_password_that_dials_in_vain_may_have_the_wrong_one() -> None:
    counters = SignatureCounters()
    assert counters.likely_reason(0.0, has_password=True, dials=True) == NO_ANSWER
    counters.fold(netstat(), 0.0)
    counters.fold(netstat(wrong=1), 1.0)
    assert counters.likely_reason(1.0, has_password=True, dials=True).startswith("a peer signs with another password")


def test_what_was_counted_before_or_long_ago_is_none() -> None:
    assert reasons(netstat(5, 5, 5), netstat(5, 5, 5)) == ("", "")
    assert reasons(netstat(), netstat(wrong=1), after=RECENTLY_SECONDS) == ("", "")
    assert reasons(netstat(wrong=9), netstat(wrong=1)) == ("", ""), "another namespace's"
    assert reasons(netstat(), "", netstat(wrong=1)) == ("", ""), "it was not looked at meanwhile"


@pytest.mark.parametrize("text", ["", "TcpExt: a\n", "TcpExt: TCPMD5Failure\nTcpExt: x\n", "TcpExt:\nTcpExt: 1\n\n\n"])
def test_a_kernel_that_counts_nothing_says_nothing(text: str) -> None:
    assert read_counters(text) == {}


def test_this_kernel_counts_them() -> None:
    found = read_counters(Path("/proc/net/netstat").read_text())
    assert found.keys() == {"TCPMD5Failure", "TCPMD5NotFound", "TCPMD5Unexpected"}
