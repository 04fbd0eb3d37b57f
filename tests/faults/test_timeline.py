"""A run as a person reads it."""

from __future__ import annotations

from msgspec.structs import replace

from faults.timeline import timeline
from tests.faults.records import KILL, STOP, record

TIMELINE = """\
seed 7, 0.2 min: 2 faults in 8 s
probes: n1-1 → n2-1 800 sent, 2 lost; n2-1 → n3-1 800 sent, 0 lost; n3-1 → n1-1 800 sent, 0 lost

     at  fault                node   lost  in sync after  what was done
 0:02.0  kill agent           n1        0         1.50 s  kill -9 agent
 0:04.0  stop exabgp          n3        1         2.00 s  kill -STOP exabgp
         lost: n1-1 → n2-1 1

lost while no fault was at work: n1-1 → n2-1 1
40 ADDs and DELs succeeded meanwhile; plugins also answered:
    nothing else"""


def test_each_fault_says_what_was_lost_and_when_all_was_in_sync_again() -> None:
    assert "\n".join(timeline(record(4.5, 7.5))) == TIMELINE


def test_a_fault_that_was_given_up_says_why() -> None:
    text = "\n".join(timeline(replace(record(), windows=(KILL, replace(STOP, trouble="n3 is not ready")))))
    assert "stop exabgp          n3        0          never  kill -STOP exabgp\n" in text
    assert "given up: n3 is not ready" in text
