"""An affinity's life: every row of the table in ipam/affinities.py, and claims found half done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from ipaddress import ip_network

import pytest

from datastore.cas import found_or_none
from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from ipam import block as blocks
from ipam.affinities import Affinities
from ipam.allocator import Allocator
from ipam.errors import ClaimConflict, NotEmpty
from ipam.names import affinity_name, cidr_name
from tests.datastore.memory_store import MemoryStore
from tests.ipam.world import POD, owners, pod


async def test_a_released_block_in_use_has_no_owner_until_it_is_empty(store: MemoryStore, allocator: Allocator) -> None:
    given = await allocator.assign(POD)
    [cidr] = given.blocks.values()
    with pytest.raises(NotEmpty, match="in use"):
        await allocator.release_affinity("n1", must_be_empty=True)
    assert await allocator.release_affinity("n1", cidr) == [cidr]
    assert (await store.list(BlockAffinity)).objects == ()
    [block] = (await store.list(IPAMBlock)).objects
    assert block.spec.affinity is None and len(await owners(store)) == 1
    await allocator.release_handle("net.pod")
    assert (await store.list(IPAMBlock)).objects == ()


@pytest.mark.parametrize("state", ["pending", "pendingDeletion"])
@pytest.mark.parametrize("with_block", [True, False])
async def test_a_claim_left_half_done_is_completed(store: MemoryStore, state: str, with_block: bool) -> None:
    first = await Allocator(store).assign(POD)
    await Allocator(store).release_handle("net.pod")
    [affinity], [block] = (await store.list(BlockAffinity)).objects, (await store.list(IPAMBlock)).objects
    await store.update(affinity.with_spec(state=state))
    if not with_block:
        await store.delete(block)
    again = await Allocator(store).assign(POD)
    assert set(again.blocks.values()) == set(first.blocks.values())
    [affinity] = (await store.list(BlockAffinity)).objects
    assert affinity.spec.state == "confirmed"


async def test_a_stale_affinity_for_a_block_of_another_host_is_deleted(store: MemoryStore) -> None:
    given = await Allocator(store).assign(POD)
    [block] = (await store.list(IPAMBlock)).objects
    await store.update(block.with_spec(affinity="host:n2"))
    again = await Allocator(store).assign(pod(2))
    assert set(given.blocks.values()).isdisjoint(again.blocks.values())
    assert {a.spec.cidr for a in (await store.list(BlockAffinity)).objects} == {str(c) for c in again.blocks.values()}


async def test_affinities_of_older_versions_get_their_labels(store: MemoryStore, allocator: Allocator) -> None:
    await allocator.assign(POD)
    [affinity] = (await store.list(BlockAffinity)).objects
    await store.update(affinity.with_metadata(labels={}))
    await allocator.adopt("n1")
    [adopted] = (await store.list(BlockAffinity)).objects
    assert adopted.metadata.labels == affinity.metadata.labels


CIDR = ip_network("10.65.0.0/26")
NOW = 10**18
CONFLICT = ClaimConflict


async def owned_by(store: MemoryStore, host: str | None, *, used: bool = False) -> None:
    """Store the block of CIDR as this host's (None: there is no block)."""
    if host is not None:
        block = blocks.new_block(CIDR, host, NOW)
        await store.create(blocks.assign(block, 1, "net.pod", {})[0] if used else block)


@pytest.mark.parametrize(
    ("state", "owner", "used", "event", "after", "block", "error"),
    [
        # state of the affinity, owner of the block, event -> state, owner of the block
        (None, None, False, "claim", "confirmed", "host:n1", None),
        (None, "n1", False, "claim", "confirmed", "host:n1", None),
        (None, "n2", False, "claim", None, "host:n2", CONFLICT),
        (None, None, False, "release", None, None, None),
        (None, "n1", False, "release", None, None, None),
        (None, "n1", True, "release", None, "", None),
        (None, "n2", False, "release", None, "host:n2", None),
        ("pending", None, False, "claim", "confirmed", "host:n1", None),
        ("pending", "n1", True, "claim", "confirmed", "host:n1", None),
        ("pending", "n2", False, "claim", None, "host:n2", CONFLICT),
        ("pending", "n1", False, "repair", "confirmed", "host:n1", None),
        ("pending", "n2", False, "repair", None, "host:n2", None),
        ("confirmed", None, False, "repair", "confirmed", "host:n1", None),
        ("confirmed", "n2", False, "repair", None, "host:n2", None),
        ("confirmed", "n1", False, "release", None, None, None),
        ("confirmed", "n1", True, "release", None, "", None),
        ("confirmed", "n2", False, "release", None, "host:n2", CONFLICT),
        ("confirmed", "n1", True, "release if empty", "confirmed", "host:n1", NotEmpty),
        ("pendingDeletion", None, False, "release", None, None, None),
        ("pendingDeletion", "n1", False, "claim", "confirmed", "host:n1", None),
        ("pendingDeletion", "n1", True, "release if empty", "confirmed", "host:n1", NotEmpty),
        ("pendingDeletion", "n1", False, "release as written before", "confirmed", "host:n1", CONFLICT),
        ("", "n1", False, "repair", "", "host:n1", None),
    ],
)
async def test_an_event_leads_from_one_state_to_the_next(
    store: MemoryStore,
    state: str | None,
    owner: str | None,
    used: bool,
    event: str,
    after: str | None,
    block: str | None,
    error: type[Exception] | None,
) -> None:
    affinities = Affinities(store, lambda: NOW)
    await owned_by(store, owner, used=used)
    name = affinity_name("n1", str(CIDR))
    if state is not None:
        await store.create(BlockAffinity.make(name, state=state, node="n1", cidr=str(CIDR), deleted="false"))
    events: dict[str, Callable[[], Awaitable[object]]] = {
        "claim": lambda: affinities.claim("n1", CIDR),
        "repair": lambda: store.get(BlockAffinity, name),
        "release": lambda: affinities.release("n1", CIDR),
        "release if empty": lambda: affinities.release("n1", CIDR, must_be_empty=True),
        "release as written before": lambda: affinities.release("n1", CIDR, expected_sequence=1),
    }
    with pytest.raises(error) if error else nullcontext():
        found = await events[event]()
        if event == "repair":
            assert isinstance(found, BlockAffinity)
            assert await affinities.repair(found) is (after is not None)
    affinity = await found_or_none(store.get(BlockAffinity, name))
    assert (affinity.spec.state if affinity else None) == after
    stored = await found_or_none(store.get(IPAMBlock, cidr_name(str(CIDR))))
    assert (stored.spec.affinity or "" if stored else None) == block


async def test_only_affinities_that_bear_the_hosts_labels_are_found_as_its_own(store: MemoryStore) -> None:
    affinities = Affinities(store, lambda: NOW)
    await affinities.claim("n1", CIDR)
    await affinities.claim("n2", ip_network("10.65.0.64/26"))
    assert [one.network for one in await affinities.of_host("n1")] == [CIDR]
