"""The guard: an ExaBGP that is not the one of bgp/exabgp_launcher is left alone."""

from __future__ import annotations

import pytest

from tests.bgp.exabgp_launcher.in_python import in_python, patched


def test_the_installed_exabgp_is_the_one_the_launcher_knows() -> None:
    done = patched()
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "unlike",
    [
        "import exabgp.version; exabgp.version.version = '5.0.16'",
        "from exabgp.reactor.loop import Reactor; Reactor._wait_for_io = lambda self, seconds: None",
        "from exabgp.reactor.peer import Peer; Peer.run = lambda self, more: None",
        "import exabgp.bgp.timer; exabgp.bgp.timer.time = None",
        "from exabgp.bgp.message import Message; from exabgp.reactor.api.command import announce\n"
        "announce.match_neighbors = lambda peers: peers",
    ],
)
def test_an_exabgp_that_differs_is_not_touched(unlike: str) -> None:
    refused = in_python(
        f"{unlike}\nfrom bgp.exabgp_launcher.replacements import UnknownReleaseError, patch\n"
        "from exabgp.reactor.delay import Delay\nbefore = Delay.increase\n"
        "try: patch(0, 1)\n"
        "except UnknownReleaseError as error: print(error); assert Delay.increase is before"
    )
    assert refused.stdout.startswith("patch "), refused.stderr
