"""Which pools a pod gets its addresses from, and why none: annotations, selectors, and what they are compared with.

Pure. The choice is `ipam.search.pools_for`'s; here it is said what of each pool led to it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct, field

from datastore.fields import address
from datastore.kinds.namespace import Namespace
from datastore.kinds.pools import IPPool
from explain.records import Assigned, ClusterRecords, PodRecord
from explain.step import Command, Step, StepState, Verdict
from ipam.errors import IpamError
from ipam.search import pools_for
from net.mac import is_device_mac

ANNOTATION = "cni.projectcalico.org/"


class AddressFacts(Struct, frozen=True):
    """What of the cluster a choice of pools depends on.

    used: how many addresses of each pool are assigned. assigned: to whom each is. namespace: that of the pod; None:
    there is none. has_namespaces: whether the datastore has any. ready: what ClusterInformation says; None: there is
    none.
    """

    pools: Sequence[IPPool]
    used: Mapping[str, int] = field(default_factory=dict)
    node_labels: Mapping[str, str] = field(default_factory=dict)
    namespace: Namespace | None = None
    has_namespaces: bool = False
    ready: bool | None = True
    assigned: Mapping[str, Assigned] = field(default_factory=dict)

    @property
    def labels(self) -> Mapping[str, str]:
        """Those of the pod's Namespace."""
        return self.namespace.labels if self.namespace else {}


def about_addresses(facts: AddressFacts, pod: PodRecord) -> tuple[Step, ...]:
    """Return what decides which addresses a pod gets, family by family; the last step of each is the outcome."""
    return (*_about_pod(facts, pod), *_about_families(facts, pod))


def _about_pod(facts: AddressFacts, pod: PodRecord) -> Iterator[Step]:
    if not pod.node:
        yield _step(pod, "endpoint", StepState.DOUBTFUL, "there is no such pod on a node: this is what it would get")
    elif not pod.addresses:
        yield _step(pod, "endpoint", StepState.DOUBTFUL, f"it is on {pod.node} and has no address")
    if not facts.ready:
        text = "the datastore is locked" if facts.ready is False else "no agent has started with this datastore yet"
        effect = "attaching a pod fails until felixctl datastore unlock" if facts.ready is False else ""
        state = StepState.DOUBTFUL if pod.addresses else StepState.BROKEN
        inspect = Command("", "felixctl get clusterinformation")
        yield _step(pod, "datastore", state, f"{text}: no address is assigned", effect, inspect)
    if not facts.has_namespaces:
        return
    where, show = f"Namespace {pod.namespace}", Command("", f"kubectl get namespace {pod.namespace} -o yaml")
    if facts.namespace is None:
        yield Step("records", where, "namespace", StepState.BROKEN, "there is no such Namespace", "", show)
    else:
        labels = ", ".join(f"{key}={text}" for key, text in sorted(facts.labels.items())) or "none"
        yield Step("records", where, "namespace", StepState.OK, f"its labels: {labels}", "", show)


def _about_families(facts: AddressFacts, pod: PodRecord) -> Iterator[Step]:
    try:
        given = _names(pod.annotations.get(_ADDRESSES), f"annotation {_ADDRESSES} of the pod")
        unreserved = _names(pod.annotations.get(_WITHOUT_IPAM), f"annotation {_WITHOUT_IPAM} of the pod")
        wanted = _names(pod.annotations.get(_FAMILIES), f"annotation {_FAMILIES} of the pod")
        if others := sorted(set(wanted) - {"IPv4", "IPv6"}):
            raise ValueError(f"annotation {_FAMILIES} of the pod names {', '.join(others)}, and may only IPv4 and IPv6")
        asked = {version: _asked(facts, pod, version) for version in (4, 6)}
    except ValueError as error:
        yield _step(pod, "annotation", StepState.BROKEN, str(error), "attaching it is refused", _get_pod(pod))
        return
    if text := pod.annotations.get(_FLOATING):
        why = f"its annotation {_FLOATING} is {text}, which is not implemented"
        yield _step(pod, "annotation", StepState.BROKEN, why, "attaching it is refused", _get_pod(pod))
        return
    mac = pod.annotations.get(f"{ANNOTATION}hwAddr", "")
    if mac and not is_device_mac(mac):
        why = f"its annotation {ANNOTATION}hwAddr is {mac}, a MAC address that no device can have"
        yield _step(pod, "annotation", StepState.BROKEN, why, "attaching it is refused", _get_pod(pod))
        return
    if unreserved:
        yield _about_unreserved(pod, unreserved, given)
        return
    if given:
        yield _about_given(facts, pod, given)
        return
    families = {int(pool.version) for pool in facts.pools}
    if not families:
        text, effect = "there is no pool at all", "no pod gets an address"
        yield _step(pod, "pool", StepState.BROKEN, text, effect, Command("", "felixctl get ippools"))
    for version, request in asked.items():
        meant = not wanted or f"IPv{version}" in wanted
        if meant and (request or wanted or version in families):
            yield from _about_family(facts, pod, version, request, set() if wanted else families)


_FLOATING, _WITHOUT_IPAM = f"{ANNOTATION}floatingIPs", f"{ANNOTATION}ipAddrsNoIpam"
_ADDRESSES, _FAMILIES = f"{ANNOTATION}ipAddrs", f"{ANNOTATION}ipFamilies"


def _about_given(facts: AddressFacts, pod: PodRecord, given: Sequence[str]) -> Step:
    """Return what an annotation means that names the addresses themselves."""
    asks, state = f"its annotation {_ADDRESSES} asks for", StepState.DOUBTFUL if pod.addresses else StepState.BROKEN
    for text in given:
        try:
            wanted = address(text)
        except ValueError as error:
            return _step(pod, "annotation", state, f"{asks} {error}", "attaching it is refused", _get_pod(pod))
        if not any(pool.allocatable and wanted in pool.network for pool in facts.pools):
            why, inspect = (
                f"{asks} {wanted}, which lies in no enabled pool",
                Command("", "felixctl get ippools -o wide"),
            )
            return _step(pod, "annotation", state, why, "attaching it is refused", inspect)
        holder = facts.assigned.get(str(wanted))
        if holder and holder.pod != pod.title:
            who = holder.pod or holder.tunnel_of or holder.handle or "somebody else"
            why, inspect = f"{asks} {wanted}, which {who} has", Command("", f"felixctl ipam show --ip={wanted}")
            return _step(pod, "annotation", state, why, "attaching it fails until that is released", inspect)
    return _step(
        pod, "annotation", StepState.OK, f"{asks} {', '.join(given)}, whatever pools are chosen by", "", _get_pod(pod)
    )


def _about_unreserved(pod: PodRecord, unreserved: Sequence[str], given: Sequence[str]) -> Step:
    """Return what an annotation means that names addresses which IPAM is not to know of."""
    asks = f"its annotation {_WITHOUT_IPAM} asks for {', '.join(unreserved)}"
    if given:
        why = f"{asks}, and {_ADDRESSES} for {', '.join(given)}"
        return _step(pod, "annotation", StepState.BROKEN, why, "attaching it is refused", _get_pod(pod))
    if not pod.addresses:
        why, effect = f"{asks}, past IPAM", "attaching it is refused unless the network's feature_control allows it"
        return _step(pod, "annotation", StepState.DOUBTFUL, why, effect, _get_pod(pod))
    return _step(pod, "annotation", StepState.OK, f"{asks}, which nothing reserves for it", "", _get_pod(pod))


class _Request(Struct, frozen=True):
    """The pools that an annotation names, and what is said of it."""

    pools: tuple[str, ...]
    text: str


def _asked(facts: AddressFacts, pod: PodRecord, version: int) -> _Request | None:
    """Return what an annotation asks for: the pod's comes before its Namespace's. Raises ValueError: it is no list."""
    key = f"{ANNOTATION}ipv{version}pools"
    ours = _names(pod.annotations.get(key), f"annotation {key} of the pod")
    namespaces = facts.namespace.annotations.get(key) if facts.namespace else None
    if ours:
        before = f"that of its Namespace ({namespaces}) and " if namespaces else ""
        return _Request(ours, f"its annotation {key} names {', '.join(ours)}, and comes before {before}every selector")
    theirs = _names(namespaces, f"annotation {key} of Namespace {pod.namespace}")
    if theirs:
        text = f"annotation {key} of its Namespace names {', '.join(theirs)}, and comes before every selector"
        return _Request(theirs, text)
    return None


def _names(text: str | None, whose: str) -> tuple[str, ...]:
    if not text:
        return ()
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise ValueError(f"{whose} is {text}, and no JSON list of texts")
    return tuple(found)


def _about_family(
    facts: AddressFacts, pod: PodRecord, version: int, asked: _Request | None, families: set[int]
) -> Iterator[Step]:
    if asked:
        yield _step(pod, "annotation", StepState.OK, asked.text, inspect=_get_pod(pod))
    pools = [pool for pool in facts.pools if pool.version == version]
    for pool in pools:
        why_not = _why_not(facts, pod, pool, asked)
        text = f"{pool.network}: {why_not or _why(pod, pool, asked)}"
        yield Step("records", f"pool {pool.name}", "pool", StepState.OK, text, "", _get_pool(pool))
    try:
        chosen = pools_for(
            pools if pod.node else [one if one.fault else one.with_spec(node_selector="all()") for one in pools],
            version,
            requested=asked.pools if asked else (),
            node=pod.node or "any",
            node_labels=facts.node_labels,
            namespace_labels=facts.labels,
        )
    except IpamError as error:
        yield _without_pool(pod, version, str(error), families)
    else:
        yield from _outcome(facts, pod, version, chosen)


def _without_pool(pod: PodRecord, version: int, why: str, families: set[int]) -> Step:
    """Return what it means that no pool is left. families: of the pools, where only its node knows which it gets."""
    inspect = Command("", "felixctl get ippools -o wide")
    if _of_version(pod, version):
        text = f"it keeps its IPv{version} address, and would get no other: {why}"
        return _step(pod, "pool", StepState.DOUBTFUL, text, inspect=inspect)
    if pod.addresses or (version == 6 and 4 in families):
        text = f"it gets no IPv{version} address, should its network assign any: {why}"
        return _step(pod, "pool", StepState.DOUBTFUL, text, inspect=inspect)
    effect = "attaching it fails, and its runtime tries again"
    return _step(pod, "pool", StepState.BROKEN, f"it gets no IPv{version} address: {why}", effect, inspect)


def _outcome(facts: AddressFacts, pod: PodRecord, version: int, chosen: Sequence[IPPool]) -> Iterator[Step]:
    names = ", then ".join(pool.name for pool in chosen)
    held = _of_version(pod, version)
    if held:
        own = next((pool for pool in facts.pools if address(held[0]) in pool.network), None)
        if own is None or own not in chosen:
            of = f"of pool {own.name}" if own else "outside of every pool"
            text = f"{held[0]} is {of}; when it is attached anew it gets its IPv{version} address from {names}"
            yield _step(pod, "pool", StepState.DOUBTFUL, text)
        else:
            yield _step(pod, "pool", StepState.OK, f"{held[0]} is of pool {own.name}, as it would be anew: {names}")
    elif all(facts.used.get(pool.name, 0) >= pool.network.num_addresses for pool in chosen):
        text = f"it gets no IPv{version} address: every address of {names} is assigned"
        effect = "attaching it fails until one is released"
        yield _step(pod, "pool", StepState.BROKEN, text, effect, Command("", "felixctl ipam show --show-blocks"))
    else:
        free = sum(pool.network.num_addresses - facts.used.get(pool.name, 0) for pool in chosen)
        text = f"it gets its IPv{version} address from {names}, where {free} are not assigned"
        yield _step(pod, "pool", StepState.OK, text)


def _why_not(facts: AddressFacts, pod: PodRecord, pool: IPPool, asked: _Request | None) -> str:
    """Return why a pod gets no address of a pool; "" if it does."""
    spec, refused = pool.spec, ""
    if pool.fault:
        refused = f"nothing is assigned from it until it is corrected: {pool.fault}"
    elif not pool.allocatable:
        refused = "it is disabled" if spec.disabled else "nothing is assigned from it: it is refused or being deleted"
    elif pool.network.prefixlen > pool.block_size:
        refused = f"it is smaller than one block (/{pool.block_size})"
    elif asked:
        refused = "" if {pool.name, spec.cidr} & set(asked.pools) else "the annotation does not name it"
    elif spec.assignment_mode == "Manual":
        refused = "only an annotation chooses it (assignmentMode Manual)"
    elif pod.node and not pool.selects_node(facts.node_labels):
        refused = f"its nodeSelector {spec.node_selector} does not select node {pod.node}"
    elif not pool.selects_namespace(facts.labels):
        refused = f"its namespaceSelector {spec.namespace_selector} does not select Namespace {pod.namespace}"
        if not facts.has_namespaces:
            refused = f"it has the namespaceSelector {spec.namespace_selector}, and this datastore has no Namespaces"
    return refused or ("" if pool.allows("Workload") else "it is not for pods (allowedUses)")


def _why(pod: PodRecord, pool: IPPool, asked: _Request | None) -> str:
    if asked:
        return "the annotation names it"
    selectors = [f"nodeSelector {pool.spec.node_selector} selects {f'node {pod.node}' if pod.node else 'its node'}"]
    if pool.spec.namespace_selector is not None:
        selectors.append(f"namespaceSelector {pool.spec.namespace_selector} selects Namespace {pod.namespace}")
    return ", ".join(selectors)


def _of_version(pod: PodRecord, version: int) -> list[str]:
    return [text for text in pod.addresses if address(text).version == version]


def verdict_on(pod: PodRecord, steps: Sequence[Step]) -> Verdict:
    """Return what the first broken step means; where none is, what the last one says of the pod itself."""
    first = next((step for step in steps if step.state is StepState.BROKEN), None)
    if first is not None:
        effect = f"; {first.effect}" if first.effect else ""
        return Verdict(False, f"{first.where}: {first.text}{effect}", first)
    last = next((step for step in reversed(steps) if step.where == pod.title), steps[-1])
    return Verdict(True, f"{last.where}: {last.text}")


def used_addresses(records: ClusterRecords) -> Mapping[str, int]:
    """Return how many addresses of each pool are assigned."""
    found: Counter[str] = Counter()
    for block in records.blocks:
        if pool := records.pool_of(str(block.prefix).partition("/")[0]):
            found[pool.name] += len(block.assigned)
    return found


def _get_pod(pod: PodRecord) -> Command:
    return Command("", f"felixctl get workloadendpoints -n {pod.namespace} -o yaml")


def _get_pool(pool: IPPool) -> Command:
    return Command("", f"felixctl get ippool {pool.name} -o yaml")


def _step(
    pod: PodRecord, about: str, state: StepState, text: str, effect: str = "", inspect: Command | None = None
) -> Step:
    return Step("records", pod.title, about, state, text, effect, inspect)
