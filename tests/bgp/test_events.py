"""What every event of a peer has in common, for those who fold them."""

from __future__ import annotations

from typing import get_args

import pytest
from msgspec import Struct

from bgp.events import PeerEvent, PeerUp, SpeakerEvent, SpeakerStarted, SpeakerStopped


@pytest.mark.parametrize("kind", get_args(PeerEvent))
def test_every_event_of_a_peer_begins_with_the_peers_address(kind: type[Struct]) -> None:
    assert kind.__struct_fields__[0] == "peer"


def test_events_of_the_speaker_are_those_of_peers_and_its_own_start_and_stop() -> None:
    assert set(get_args(SpeakerEvent)) == {*get_args(PeerEvent), SpeakerStarted, SpeakerStopped}


def test_an_event_does_not_change() -> None:
    up = PeerUp("192.0.2.2")
    with pytest.raises(AttributeError):
        up.peer = "192.0.2.3"  # type: ignore[misc]
