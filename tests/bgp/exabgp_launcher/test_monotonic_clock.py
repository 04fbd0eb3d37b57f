"""Timers and the wall clock."""

from __future__ import annotations

import pytest

from tests.bgp.exabgp_launcher.in_python import patched


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
