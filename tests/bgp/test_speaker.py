"""What agent and sidecar share survives its JSON."""

from __future__ import annotations

import json

from bgp.speaker import (
    LocalNode,
    Neighbour,
    Speaker,
    announcements_from_json,
    announcements_to_json,
)
from net.prefix import Prefix, pack
from tests.bgp.attributes import RICH, ROUTES


def test_speaker_and_rib_out_survive_their_json() -> None:

    speaker = Speaker(
        "n1",
        pack("10.9.0.1"),
        ("10.9.0.1", "fd09::1"),
        179,
        (Neighbour("10.9.0.2", "10.9.0.1", 65001, 64512, kind="global", is_node=False, password="s3cret"),),
        LocalNode(
            64512,
            pack("10.9.0.1"),
            frozenset({pack("10.9.0.1")}),
            (Prefix.parse("10.65.1.0/26"),),
            (Prefix.parse("10.65.0.0/16"),),
            frozenset({pack("10.9.0.2")}),
            (Prefix.parse("10.9.0.0/24"),),
            ((Prefix.parse("10.65.2.0/26"), (pack("10.9.0.2"), pack("fd09::2"))),),
        ),
    )
    assert Speaker.from_json(json.loads(json.dumps(speaker.to_json()))) == speaker
    assert "s3cret" not in repr(speaker)
    assert announcements_from_json(json.loads(json.dumps(announcements_to_json(ROUTES)))) == ROUTES
    assert RICH.as_path_length == 3
