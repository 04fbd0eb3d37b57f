"""An agent that reads at any pace ends with what RIB-in holds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bgp import protocol
from bgp.agent_feed import AgentFeed
from bgp.decision import MAX_EQUAL_PATHS
from bgp.events import AnnouncedPath, UpdateReceived, WithdrawnPath
from bgp.rib_in import RibIn
from bgp.speaker import Attributes, LearnedPaths, LocalNode, Neighbour
from net.prefix import Prefix, pack

LOCAL = LocalNode(64512, pack("192.0.2.1"))
HOPS = [f"192.0.2.{number}" for number in range(2, 5)]
SOME = [Prefix.parse(f"10.66.{number}.0/26") for number in range(4)]
steps = st.lists(st.tuples(st.sampled_from(HOPS), st.sampled_from(SOME), st.booleans(), st.booleans()), max_size=40)


@given(steps)
def test_an_agent_that_reads_at_any_pace_ends_with_what_rib_in_holds(
    some: list[tuple[str, Prefix, bool, bool]],
) -> None:
    """Each step a peer announces or withdraws; then the agent reads what waits, or does not."""
    rib = RibIn()
    rib.configure([Neighbour(hop, "192.0.2.1", 64512, 64512) for hop in HOPS], LOCAL, 0)
    feed = AgentFeed(rib)
    held: dict[Prefix, LearnedPaths] = {}

    def read() -> None:
        while (messages := feed.next_messages()) is not None:
            for message in messages:
                if isinstance(message, protocol.Learned):
                    assert all(held.get(prefix) != hops for prefix, hops in message.routes.items())
                    held.update(message.routes)
                else:
                    for prefix in message.prefixes:
                        del held[prefix]

    for hop, prefix, announces, reads in some:
        update = UpdateReceived(hop, announced=(AnnouncedPath(prefix, 0, Attributes(pack(hop))),))
        rib.fold(update if announces else UpdateReceived(hop, withdrawn=(WithdrawnPath(prefix, 0),)), 0)
        feed.mark(rib.changed)
        rib.changed.clear()
        if reads:
            read()
    read()
    assert held == {prefix: rib.learned_paths(prefix) for prefix in rib.prefixes()}
    assert all(len(hops) <= MAX_EQUAL_PATHS for hops in held.values())


def test_what_was_withdrawn_before_an_agent_came_is_told_once_and_only_while_it_is_gone() -> None:
    """One before it may have written the route; without this it would stay until every peer has converged."""
    rib, (hop, *_), (gone, back, *_) = RibIn(), HOPS, SOME
    rib.configure([Neighbour(hop, "192.0.2.1", 64512, 64512)], LOCAL, 0)
    announced = {prefix: AnnouncedPath(prefix, 0, Attributes(pack(hop))) for prefix in (gone, back)}
    rib.fold(UpdateReceived(hop, announced=tuple(announced.values())), 0)
    rib.fold(UpdateReceived(hop, withdrawn=(WithdrawnPath(gone, 0), WithdrawnPath(back, 0))), 0)
    rib.fold(UpdateReceived(hop, announced=(announced[back],)), 0)
    feed = AgentFeed(rib)
    assert feed.next_messages() == [
        protocol.Learned({back: rib.learned_paths(back)}),
        protocol.Withdrawn((gone,)),
    ]
    feed.mark([gone])
    assert feed.next_messages() == []
