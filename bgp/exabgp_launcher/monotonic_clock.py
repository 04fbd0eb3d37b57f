"""Which clock ExaBGP's hold, keepalive and reconnect timers follow."""

from __future__ import annotations

import time

from bgp.exabgp_launcher.replacement import ReplacedValue, Replacement


def replacements() -> list[Replacement]:
    from exabgp.bgp import timer
    from exabgp.reactor import delay
    from exabgp.util import cache

    return [ReplacedValue(module, "time", time, MonotonicClock) for module in (timer, delay, cache)]


class MonotonicClock:
    """Takes the place of the time module where ExaBGP measures how long something took.

    As released its hold, keepalive and reconnect timers follow the wall clock: a step forward ends every session at
    once, after a step back no keepalive is sent, and no peer is dialled, for as long as the step was.
    """

    @staticmethod
    def time() -> float:
        return time.monotonic()
