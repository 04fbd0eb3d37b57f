"""A run that is ended, by whichever signal, ends what it has started."""

from __future__ import annotations

import os
import signal

import pytest

from lab.interruption import ends_in_order


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_either_signal_is_an_interrupt_and_a_second_one_does_not_keep_what_ends_from_it(number: signal.Signals) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    ended = False
    with pytest.raises(KeyboardInterrupt), ends_in_order():
        try:
            os.kill(os.getpid(), number)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            ended = True
    assert ended
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
