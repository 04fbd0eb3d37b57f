"""Which fields of the IPAM kinds are not obeyed, pools and reservations among them.

Pure. Affinities, blocks and handles are written by IPAM itself, ours or Calico's: unknown fields in them are no
mistake of a user's, and yield no notice.
"""

from __future__ import annotations

from datastore import selector
from datastore.field_rules import OBEYED, FieldRules, NotObeyed, When, notice_of
from datastore.kinds.ipam import IPAMConfig
from datastore.kinds.pools import IPPool, IPReservation
from datastore.notices import Notice


def _selects_by_label(text: str) -> bool:
    try:
        return str(selector.parse(text)) != "all()"
    except selector.SelectorError:
        return False  # a fault of the pool's


POOL = FieldRules(
    {
        "spec.cidr": OBEYED,
        "spec.ipipMode": OBEYED,
        "spec.vxlanMode": NotObeyed(
            "VXLAN is not implemented", "packets between nodes are routed without it", unless=("Never",)
        ),
        "spec.natOutgoing": OBEYED,
        "spec.disabled": OBEYED,
        "spec.disableBGPExport": OBEYED,
        "spec.blockSize": OBEYED,
        "spec.nodeSelector": OBEYED,
        "spec.namespaceSelector": NotObeyed(
            "only a datastore on Kubernetes has labels of namespaces",
            "every namespace counts as one without labels",
            when=When("any but all()", _selects_by_label),
        ),
        "spec.allowedUses": NotObeyed(
            "addresses of services are not assigned",
            "no address comes from this pool",
            when=When("LoadBalancer", lambda uses: "LoadBalancer" in uses),
        ),
        "spec.assignmentMode": OBEYED,
    }
)


def pool_notices(pool: IPPool, *, has_namespaces: bool) -> tuple[Notice, ...]:
    """Return what a pool sets and what is not obeyed, where the datastore has Namespaces, or where it has none."""
    found = POOL.notices(pool)
    if has_namespaces:
        found = tuple(one for one in found if one.field != "spec.namespaceSelector")
    fault = (notice_of(pool, "", NotObeyed(pool.fault, "no more addresses come from it")),) if pool.fault else ()
    return (*fault, *found)


RESERVATION = FieldRules({"spec.reservedCIDRs": OBEYED})


def reservation_notices(reservation: IPReservation) -> tuple[Notice, ...]:
    """Return what of a reservation is not obeyed."""
    found = RESERVATION.notices(reservation)
    if not reservation.fault:
        return found
    return (notice_of(reservation, "", NotObeyed(reservation.fault, "the other entries are reserved")), *found)


CONFIGURATION = FieldRules(
    {
        "spec.strictAffinity": OBEYED,
        "spec.autoAllocateBlocks": OBEYED,
        "spec.maxBlocksPerHost": OBEYED,
        "spec.kubeVirtVMAddressPersistence": NotObeyed(
            "a virtual machine has no address of its own",
            "one that moves to another node gets another address",
            unless=("Disabled",),
        ),
        "spec.ipCooldownSeconds": OBEYED,
    },
    read_names=("default",),
)


def configuration_notices(configuration: IPAMConfig) -> tuple[Notice, ...]:
    """Return what of IPAM's configuration is not obeyed; of one that is not read, that alone."""
    found = CONFIGURATION.notices(configuration)
    if configuration.name not in CONFIGURATION.read_names:
        return found
    if configuration.fault:
        found = (
            notice_of(configuration, "", NotObeyed(configuration.fault, "what it says applies all the same")),
            *found,
        )
    if not configuration.limits_borrowers:
        return found
    limit = NotObeyed(
        f"maxBlocksPerHost {configuration.spec.max_blocks_per_host} forbids borrowing to who has so many blocks",
        "such a node gets no more addresses, as if strictAffinity were true",
    )
    return (notice_of(configuration, "spec.strictAffinity", limit), *found)


AFFINITY = FieldRules(
    {
        "spec.state": OBEYED,
        "spec.node": OBEYED,
        "spec.type": OBEYED,
        "spec.cidr": OBEYED,
        "spec.deleted": OBEYED,
    },
    reports_unknown=False,
)

BLOCK = FieldRules(
    {
        "spec.cidr": OBEYED,
        "spec.affinity": OBEYED,
        "spec.affinityClaimTime": OBEYED,
        "spec.strictAffinity": NotObeyed(
            "the flag of a block is out of use", "IPAMConfig's strictAffinity applies", unless=(False,)
        ),
        "spec.deleted": OBEYED,
        "spec.sequenceNumber": OBEYED,
        "spec.sequenceNumberForAllocation": OBEYED,
        "spec.allocations": OBEYED,
        "spec.unallocated": OBEYED,
        "spec.attributes": OBEYED,
        "spec.attributes.handle_id": OBEYED,
        "spec.attributes.secondary": OBEYED,
        "spec.attributes.alternateOwnerAttrs": NotObeyed(
            "a second owner of an address is not known", "the address is the first owner's alone"
        ),
        "spec.attributes.releasedAt": OBEYED,
    },
    reports_unknown=False,
)

HANDLE = FieldRules(
    {"spec.handleID": OBEYED, "spec.block": OBEYED, "spec.deleted": OBEYED},
    reports_unknown=False,
)
