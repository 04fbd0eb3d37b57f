"""What the datastore says of one end: its endpoint, its address, its block and its pool.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from explain.ends import End
from explain.records import BlockRecord, ClusterRecords, PodRecord, PoolRecord
from explain.step import Command, Step, StepState

MOST_NAMED = 8  # pods that are named where the one asked for does not exist


def about_end(records: ClusterRecords, end: End) -> Iterator[Step]:
    if not end.address:
        yield _not_attached(records, end)
        return
    if end.is_node:
        yield _step(end, "endpoint", StepState.OK, f"{end.address} is a node's own address")
        return
    block, pool = records.block_of(end.address), records.pool_of(end.address)
    if end.pod is None:
        yield _without_pod(end, block, pool)
    else:
        yield from _of_pod(records, end, end.pod, block)
    if pool and pool.disabled:
        text = f"pool {pool.name} {pool.prefix} is disabled: its addresses in use stay, no new one is assigned"
        yield _step(end, "pool", StepState.DOUBTFUL, text, inspect=get_pool(pool))


def get_pool(pool: PoolRecord) -> Command:
    return Command("", f"felixctl get ippool {pool.name} -o yaml")


def _step(
    end: End,
    about: str,
    state: StepState,
    text: str,
    effect: str = "",
    inspect: Command | None = None,
    repair: Command | None = None,
) -> Step:
    return Step("records", end.title, about, state, text, effect, inspect, repair)


def _show_address(end: End) -> Command:
    return Command("", f"felixctl ipam show --ip {end.address}")


def _not_attached(records: ClusterRecords, end: End) -> Step:
    if end.pod:
        text = f"pod {end.pod.title} on {end.pod.node} has no address"
        inspect = Command("", f"felixctl why {end.pod.title}")
        return _step(end, "endpoint", StepState.BROKEN, text, "it is not attached", inspect)
    text = f"there is no pod {end.asked}: no endpoint has this name"
    if records.pools and all(pool.disabled for pool in records.pools):
        pool = records.pools[0]
        names = ", ".join(one.name for one in records.pools)
        return _step(
            end,
            "pool",
            StepState.BROKEN,
            f"{text}, and no pod can get an address: every pool is disabled ({names})",
            "attaching a pod fails until a pool is enabled",
            get_pool(pool),
            Command("", f"""felixctl patch ippool {pool.name} -p '{{"spec": {{"disabled": false}}}}'"""),
        )
    known = sorted(pod.title for pod in records.pods)
    named = ", ".join(known[:MOST_NAMED]) + (" …" if len(known) > MOST_NAMED else "")
    effect = f"it has no address to reach; {f'there are {named}' if known else 'there are no pods at all'}"
    inspect = Command("", "felixctl get workloadendpoints -A")
    return _step(end, "endpoint", StepState.BROKEN, text, effect, inspect)


def _without_pod(end: End, block: BlockRecord | None, pool: PoolRecord | None) -> Step:
    """Return what an address is that no endpoint has: leaked, a tunnel's, free, or none of ours."""
    inspect = _show_address(end)
    assigned = block.assigned.get(end.address) if block else None
    if assigned and assigned.tunnel_of:
        return _step(end, "endpoint", StepState.OK, f"the address of node {assigned.tunnel_of}'s tunnel")
    if block and assigned and assigned.pod:
        return _step(
            end,
            "address",
            StepState.BROKEN,
            f"address {end.address} is leaked: it is assigned to pod {assigned.pod} (handle {assigned.handle}), which"
            " has no endpoint",
            f"no node routes to it, and packets for it end in the blackhole of block {block.prefix}",
            inspect,
            Command("", "felixctl ipam check --fix"),
        )
    if assigned:
        text = f"address {end.address} is assigned under handle {assigned.handle}, and no endpoint has it"
        return _step(end, "address", StepState.DOUBTFUL, text, inspect=inspect)
    if block:
        text = f"address {end.address} of {_named(block)} is not assigned"
        return _step(end, "address", StepState.DOUBTFUL, text, inspect=inspect)
    if pool:
        text = f"address {end.address} of pool {pool.name} lies in no block: no node has claimed it"
        return _step(end, "address", StepState.DOUBTFUL, text, inspect=inspect)
    return _step(end, "address", StepState.UNSEEN, f"{end.address} is outside of every pool and no node's")


def _named(block: BlockRecord) -> str:
    return f"block {block.prefix} {f'of {block.owner}' if block.owner else 'that no node has'}"


def _of_pod(records: ClusterRecords, end: End, pod: PodRecord, block: BlockRecord | None) -> Iterator[Step]:
    inspect = _show_address(end)
    twins = [one.title for one in records.pods if end.address in one.addresses and one != pod]
    if twins:
        text = f"address {end.address} has two owners: {pod.title} and {', '.join(twins)}"
        yield _step(end, "address", StepState.BROKEN, text, "packets reach one of them, whichever route wins", inspect)
    if pod.given_by:
        text = f"{end.address} on {pod.node}, given by {pod.given_by}"
        yield _step(end, "endpoint", StepState.OK, text, inspect=inspect)
        return
    if block is None or end.address not in block.assigned:
        text = f"{end.address} on {pod.node} is not assigned in any block: another pod may get it too"
        yield _step(end, "address", StepState.DOUBTFUL, text, inspect=inspect)
        return
    owner = _named(block)
    if block.owner is None:
        owner = f"of {owner}"
    elif block.owner != pod.node:
        owner = f"borrowed from {owner}"
    elif not block.confirmed:
        text = f"{pod.node}'s affinity for block {block.prefix} is not confirmed: it is not announced yet"
        yield _step(end, "block", StepState.DOUBTFUL, text, inspect=inspect)
    pool = records.pool_of(end.address)
    named = f", pool {pool.name}" if pool else ""
    yield _step(end, "endpoint", StepState.OK, f"{end.address} on {pod.node}, {owner}{named}")
