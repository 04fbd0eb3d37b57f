"""What each source wants of the kernel."""

from __future__ import annotations

from bgp.speaker import LearnedPath
from felix_py.fib import Ownership
from felix_py.rib import Rib, Source
from felix_py.sources import LearnedRoutes
from kernel.route import NextHop
from net.prefix import Prefix, pack

BLOCK = Prefix.parse("10.65.1.0/26")
ROUTER = pack("192.0.2.1")


def test_a_route_that_only_changes_its_peer_changes_nothing_in_the_rib() -> None:
    rib, learned = Rib(), LearnedRoutes(Ownership())
    learned.resolved(rib, {ROUTER: NextHop(2, ROUTER)})
    learned.put(rib, {BLOCK: (LearnedPath(ROUTER, "192.0.2.8"),)})
    rib.take_changed()
    learned.put(rib, {BLOCK: (LearnedPath(ROUTER, "192.0.2.8"), LearnedPath(ROUTER, "192.0.2.9"))})
    assert not rib.changed
    assert rib.wanted(Source.LEARNED)[BLOCK].hops == (NextHop(2, ROUTER),)
    assert [path.peer for path in learned.routes[BLOCK]] == ["192.0.2.8", "192.0.2.9"]
