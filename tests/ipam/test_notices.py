"""Which fields of pools, reservations and IPAM's configuration are not obeyed."""

from __future__ import annotations

from typing import Any

import pytest

from datastore.kinds.ipam import IPAMConfig
from datastore.kinds.pools import IPPool, IPReservation
from ipam.notices import CONFIGURATION, POOL, configuration_notices, pool_notices, reservation_notices

CIDR: dict[str, Any] = {"cidr": "10.65.0.0/16"}
REQUIRED: dict[str, Any] = {"strictAffinity": False, "autoAllocateBlocks": True}


def fields(**spec: Any) -> list[str]:
    return [notice.field for notice in POOL.notices(IPPool.make("pods", **CIDR, **spec))]


def test_a_pool_that_asks_for_vxlan_says_what_its_packets_do_instead() -> None:
    (notice,) = POOL.notices(IPPool.make("pods", **CIDR, vxlanMode="Always"))
    assert str(notice) == (
        'IPPool "pods" spec.vxlanMode: VXLAN is not implemented; packets between nodes are routed without it'
    )


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"natOutgoing": True, "vxlanMode": "Never"},
        {"ipipMode": "CrossSubnet", "disabled": True, "disableBGPExport": True, "blockSize": 27},
        {"nodeSelector": "rack == '1'", "assignmentMode": "Manual", "allowedUses": ["Workload", "Tunnel"]},
        {"namespaceSelector": "all()", "allowedUses": ["Workload"]},
    ],
)
def test_what_a_pool_may_ask_for(spec: dict[str, Any]) -> None:
    assert fields(**spec) == []


@pytest.mark.parametrize("mode", ["Always", "CrossSubnet"])
def test_vxlan_is_not_obeyed(mode: str) -> None:
    assert fields(vxlanMode=mode) == ["spec.vxlanMode"]


def test_a_selector_of_namespaces_by_label_is_not_obeyed() -> None:
    assert fields(namespaceSelector="has(team)", allowedUses=["Workload"]) == ["spec.namespaceSelector"]


def test_where_there_are_namespaces_a_selector_of_them_is_obeyed_and_the_rest_is_as_before() -> None:
    spec: dict[str, Any] = {"namespaceSelector": "has(team)", "allowedUses": ["Workload"], "vxlanMode": "Always"}
    pool = IPPool.make("a", cidr="10.0.0.0/16", **spec)
    assert [one.field for one in pool_notices(pool, has_namespaces=True)] == ["spec.vxlanMode"]
    assert {one.field for one in pool_notices(pool, has_namespaces=False)} == {
        "spec.vxlanMode",
        "spec.namespaceSelector",
    }


def test_a_pool_that_gives_no_more_addresses_for_a_fault_says_so() -> None:
    faulty = IPPool.make("pods", **CIDR).with_spec(namespace_selector="has(", allowed_uses=("Workload",))
    for has_namespaces in (False, True):
        (notice,) = pool_notices(faulty, has_namespaces=has_namespaces)
        assert "namespaceSelector selector 'has('" in notice.reason
        assert notice.effect == "no more addresses come from it"


def test_a_pool_for_load_balancers_is_not_obeyed() -> None:
    assert fields(allowedUses=["LoadBalancer"]) == ["spec.allowedUses"]


def test_of_reservations_only_what_is_no_network_is_not_obeyed() -> None:
    printers = IPReservation.make("printers", reservedCIDRs=["10.65.0.0/28"])
    assert reservation_notices(printers) == ()
    (notice,) = reservation_notices(printers.with_spec(reserved_cidrs=("10.65.0.0/28", "10.65.0.300")))
    assert notice.reason.startswith('spec.reservedCIDRs[1] "10.65.0.300"')


def test_of_the_configuration_only_the_addresses_of_virtual_machines_are_not_obeyed() -> None:
    written = IPAMConfig.make("default", **REQUIRED, ipCooldownSeconds=60, kubeVirtVMAddressPersistence="Enabled")
    assert [notice.field for notice in CONFIGURATION.notices(written)] == ["spec.kubeVirtVMAddressPersistence"]
    assert CONFIGURATION.notices(written.with_spec(kubevirt_vm_address_persistence="Disabled")) == ()


def test_a_limit_of_blocks_where_nodes_may_borrow_is_taken_and_noticed() -> None:
    """As in Calico's manual; what happens there at run time, too."""
    limited = IPAMConfig.make("default", **REQUIRED, maxBlocksPerHost=4)
    (notice,) = configuration_notices(limited)
    assert str(notice) == (
        'IPAMConfig "default" spec.strictAffinity: maxBlocksPerHost 4 forbids borrowing to who has so many blocks;'
        " such a node gets no more addresses, as if strictAffinity were true"
    )
    assert configuration_notices(limited.with_spec(strict_affinity=True)) == ()
    assert configuration_notices(limited.with_spec(max_blocks_per_host=0)) == ()


def test_settings_that_felixctl_refuses_and_kubectl_does_not_are_told() -> None:
    contrary = IPAMConfig.make("default", **REQUIRED).with_spec(auto_allocate_blocks=False)
    (notice,) = configuration_notices(contrary)
    assert str(notice) == (
        'IPAMConfig "default": autoAllocateBlocks false needs strictAffinity true; what it says applies all the same'
    )
    assert configuration_notices(contrary.with_spec(strict_affinity=True)) == ()


def test_a_configuration_of_another_name_is_not_read() -> None:
    (notice,) = configuration_notices(IPAMConfig.make("mine", **REQUIRED, maxBlocksPerHost=4))
    assert notice.field == ""
