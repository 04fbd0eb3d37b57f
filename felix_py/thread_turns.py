"""How long a thread waits for the interpreter while another one computes."""

from __future__ import annotations

import sys

# Python's own figure is 5 ms. The thread that writes routes needs the interpreter after each millisecond in the kernel,
# only to take the next batch; while the loop hears of many routes it waited for as long as the kernel works at five.
_SECONDS = 0.0005


def apply() -> None:
    sys.setswitchinterval(_SECONDS)
