"""Where pods get addresses from: pools, reservations, and what must hold between pools.

Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import lru_cache, partial
from itertools import chain, islice, takewhile
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from datastore import selector
from datastore.field_types import Cidr, Items
from datastore.fields import Network, interface, network
from datastore.pool_rules import BLOCK_SIZES, USUAL_BLOCK_SIZE, link_local_within, misfit, overlap
from datastore.record import Resource, Spec

EncapsulationMode = Literal["Never", "Always", "CrossSubnet"]
Use = Literal["Workload", "Tunnel", "LoadBalancer"]


class IPPoolSpec(Spec):
    cidr: Cidr
    ipip_mode: EncapsulationMode = Field(default="Never", alias="ipipMode")
    vxlan_mode: EncapsulationMode = Field(default="Never", alias="vxlanMode")
    nat_outgoing: bool = Field(default=False, alias="natOutgoing")
    disabled: bool = False
    disable_bgp_export: bool = Field(default=False, alias="disableBGPExport")
    block_size: int | None = Field(default=None, alias="blockSize")
    node_selector: str = Field(default="all()", alias="nodeSelector")
    namespace_selector: str | None = Field(default=None, alias="namespaceSelector")
    allowed_uses: Items[Use] = Field(default=("Workload", "Tunnel"), alias="allowedUses")
    assignment_mode: Literal["Automatic", "Manual"] = Field(default="Automatic", alias="assignmentMode")

    @model_validator(mode="before")
    @classmethod
    def _zero_values_are_absent(cls, written: Any) -> Any:
        """Go writes a field that nobody set as null, "", [] or 0; a block of size 0 is none."""
        if not isinstance(written, dict):
            return written
        known = {key for name, field in cls.model_fields.items() for key in (name, field.alias)} - {"cidr"}
        sizes = ("blockSize", "block_size")
        return {
            key: value
            for key, value in written.items()
            if key not in known or not (value in (None, "", []) or (key in sizes and value == 0 and value is not False))
        }

    @model_validator(mode="after")
    def _has_one_encapsulation(self) -> Self:
        if self.ipip_mode != "Never" and self.vxlan_mode != "Never":
            raise ValueError(f"ipipMode {self.ipip_mode} and vxlanMode {self.vxlan_mode} exclude each other")
        if self.ipip_mode != "Never" and network(self.cidr).version == 6:
            raise ValueError(f"ipipMode {self.ipip_mode} is for IPv4 only, and cidr is {self.cidr}")
        return self

    @model_validator(mode="after")
    def _is_not_link_local(self) -> Self:
        if reserved := link_local_within(network(self.cidr)):
            raise ValueError(f"cidr {self.cidr} overlaps {reserved}, which is link-local")
        return self


class IPPool(Resource):
    KIND: ClassVar[str] = "IPPool"
    PLURAL: ClassVar[str] = "ippools"
    SPEC: ClassVar[type[Spec]] = IPPoolSpec
    ALLOW_UNKNOWN: ClassVar[bool] = False
    spec: IPPoolSpec

    @property
    def network(self) -> Network:
        return network(self.spec.cidr)

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.network.version

    @property
    def block_size(self) -> int:
        """The length of this pool's blocks in bits: what is written, if it is one of a pool's, else 26 or 122."""
        written, usual = self.spec.block_size, USUAL_BLOCK_SIZE[self.network.version]
        return usual if written is None or written not in BLOCK_SIZES[self.version] else written

    @property
    def enabled(self) -> bool:
        """Whether it is to give new addresses: it is not disabled, not being deleted, and not refused by its status."""
        return not self.spec.disabled and self.metadata.deletion_timestamp is None and not self._refused

    @property
    def allocatable(self) -> bool:
        """Whether new addresses may come from it."""
        return self.enabled and not self.fault

    @property
    def fault(self) -> str:
        """Why it can give no addresses. What has some keeps them, and is routed to all the same."""
        spec = self.spec
        if reason := misfit(self.network, spec.block_size, disabled=spec.disabled):
            return reason
        is_tunnelled = spec.ipip_mode != "Never" or spec.vxlan_mode != "Never"
        uses = tuple(spec.allowed_uses)
        return _fault(spec.node_selector, spec.namespace_selector) or _fault_of_uses(
            uses, spec.node_selector, is_tunnelled, spec.disable_bgp_export, spec.namespace_selector is not None
        )

    @property
    def _refused(self) -> bool:
        match self.model_extra:
            case {"status": {"conditions": list(conditions)}}:
                return {"Allocatable": "False"} in ({c.get("type"): c.get("status")} for c in conditions)
            case _:
                return False

    def allows(self, use: Use) -> bool:
        return use in self.spec.allowed_uses

    def selects_node(self, labels: selector.Labels) -> bool:
        """Whether a node with these labels may use it; an empty nodeSelector selects all."""
        return _selects(self.spec.node_selector, labels)

    def selects_namespace(self, labels: selector.Labels) -> bool:
        return self.spec.namespace_selector is None or _selects(self.spec.namespace_selector, labels)


def _selects(text: str, labels: selector.Labels) -> bool:
    """Return whether a selector matches; what is none matches all: nobody's block is given back for a typing error."""
    try:
        return selector.parse(text).matches(labels)
    except selector.SelectorError:
        return True


@lru_cache
def _fault(node_selector: str, namespace_selector: str | None) -> str:
    for field, text in (("nodeSelector", node_selector), ("namespaceSelector", namespace_selector)):
        try:
            if text is not None and "global()" in str(selector.parse(text)):
                return f"{field} {text!r} must not use global()"
        except selector.SelectorError as error:
            return f"spec.{field} {error}"
    return ""


@lru_cache
def _fault_of_uses(
    uses: tuple[Use, ...], node_selector: str, is_tunnelled: bool, is_not_exported: bool, has_namespaces: bool
) -> str:
    """Return the same for sound selectors. has_namespaces: whether there is a namespaceSelector."""
    if "LoadBalancer" in uses:
        if len(set(uses)) > 1:
            return "allowedUses LoadBalancer can't be combined with other uses"
        if is_tunnelled:
            return "allowedUses LoadBalancer needs ipipMode and vxlanMode Never"
        if str(selector.parse(node_selector)) != "all()":
            return "allowedUses LoadBalancer needs nodeSelector all()"
        if is_not_exported:
            return "disableBGPExport is not allowed with allowedUses LoadBalancer"
    if has_namespaces and "Tunnel" in uses:
        return "namespaceSelector is not allowed with the use Tunnel: set allowedUses to [Workload]"
    return ""


def _reserved(text: str) -> Network:
    """Return the network of a reservation. As in Calico, bits beyond its length are masked away."""
    return interface(text).network


class IPReservationSpec(Spec):
    reserved_cidrs: Items[str] = Field(default=(), alias="reservedCIDRs")


class IPReservation(Resource):
    KIND: ClassVar[str] = "IPReservation"
    PLURAL: ClassVar[str] = "ipreservations"
    SPEC: ClassVar[type[Spec]] = IPReservationSpec
    ALLOW_UNKNOWN: ClassVar[bool] = False
    spec: IPReservationSpec = Field(default_factory=IPReservationSpec)

    @property
    def networks(self) -> tuple[Network, ...]:
        """What automatic assignment leaves out; single addresses as /32 and /128. What is no network is passed over."""
        return tuple(found for _, found in self._read_entries() if not isinstance(found, ValueError))

    @property
    def fault(self) -> str:
        faults = (
            f"spec.reservedCIDRs[{n}] {found}" for n, found in self._read_entries() if isinstance(found, ValueError)
        )
        return "; ".join(faults)

    def _read_entries(self) -> Iterator[tuple[int, Network | ValueError]]:
        for number, text in enumerate(self.spec.reserved_cidrs):
            try:
                yield number, _reserved(text)
            except ValueError as error:
                yield number, error


def overlapping_pools(pools: Iterable[IPPool]) -> Iterator[str]:
    """Yield a sentence for each pool that shares addresses with a wider one, or one before it; it names the widest."""
    for pool, widest in within_others(pools):
        yield f'IPPool "{pool.name}": cidr {pool.network} overlaps {widest.network} of IPPool "{widest.name}"'


def within_others(pools: Iterable[IPPool]) -> Iterator[tuple[IPPool, IPPool]]:
    """Yield each pool that shares addresses with a wider one, or one before it, and the widest."""
    widest: IPPool | None = None
    # Networks nest or are apart: those within one follow it.
    for pool in sorted(pools, key=lambda pool: _position(pool.network)):
        if widest is not None and overlap(pool.network, widest.network):
            yield pool, widest
        else:
            widest = pool


def forbidden_changes(old: Resource, new: Resource) -> Iterator[str]:
    """Yield a sentence for each field that may not change once the object exists."""
    if isinstance(old, IPPool) and isinstance(new, IPPool):
        if old.network != new.network:
            yield f'IPPool "{new.name}": cidr can\'t change from {old.network} to {new.network}: make another pool'
        if old.block_size != new.block_size:
            yield (
                f'IPPool "{new.name}": blockSize can\'t change from {old.block_size} to {new.block_size}:'
                " blocks of the old size exist; make another pool"
            )


def misfitting_blocks(pools: Iterable[IPPool], blocks: Iterable[Network]) -> Iterator[str]:
    """Yield a sentence for each pool that is to be made where a block of another size exists; it names the first."""
    ordered = sorted(blocks, key=_position)
    for pool in pools:
        first = bisect_left(ordered, _position(pool.network), key=_position)
        around = ordered[max(first - 1, 0) : first]  # it may be wider than the pool
        within = takewhile(partial(overlap, pool.network), islice(ordered, first, None))
        misfits = (block for block in chain(around, within) if _misfits(block, pool))
        if block := next(misfits, None):
            yield (
                f'IPPool "{pool.name}": cidr {pool.network} holds block {block} already,'
                f" which is not a /{pool.block_size}: set blockSize {block.prefixlen}, or release the block first"
            )


def _position(network: Network) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen


def _misfits(block: Network, pool: IPPool) -> bool:
    return overlap(pool.network, block) and block.prefixlen != pool.block_size
