from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec.structs import replace

from datastore.kinds.namespace import Namespace
from datastore.kinds.pools import IPPool
from explain.pools import AddressFacts, about_addresses, used_addresses, verdict_on
from explain.records import Assigned, PodRecord
from explain.step import Step, StepState
from tests.explain.cluster import RECORDS

PROD = IPPool.make("prod", cidr="10.1.0.0/24", allowedUses=["Workload"], namespaceSelector='env == "prod"')
TEST = IPPool.make("test", cidr="10.2.0.0/24", allowedUses=["Workload"], namespaceSelector='env == "test"')
RACK = IPPool.make("rack", cidr="10.3.0.0/24", nodeSelector='rack == "b"')
NAMED = IPPool.make("named", cidr="10.4.0.0/24", assignmentMode="Manual")
OFF = IPPool.make("off", cidr="10.5.0.0/24", disabled=True)
SIX = IPPool.make("six", cidr="fd00:6::/64", allowedUses=["Workload"], namespaceSelector='env == "test"')
SHOP = Namespace.make("shop", labels={"env": "prod", "team": "web"})
FACTS = AddressFacts((PROD, TEST, RACK, NAMED, OFF), {}, {"rack": "a"}, SHOP, has_namespaces=True)
WEB = PodRecord("shop", "web", "n1", "cali1", ())


def facts(**changes: Any) -> AddressFacts:
    return replace(FACTS, **changes)


def pod(*addresses: str, node: str = "n1", **annotations: str) -> PodRecord:
    named = {f"cni.projectcalico.org/{name}": text for name, text in annotations.items()}
    return replace(WEB, addresses=addresses, node=node, annotations=named)


def by_place(steps: tuple[Step, ...]) -> dict[str, str]:
    return {step.where: step.text for step in steps}


def broken(steps: tuple[Step, ...]) -> list[str]:
    return [step.text for step in steps if step.state is StepState.BROKEN]


def test_each_pool_says_by_which_selector_it_is_chosen_or_not() -> None:
    odd = IPPool.make("odd", cidr="10.6.0.0/24").with_spec(node_selector="global()")
    steps = about_addresses(facts(pools=(*FACTS.pools, odd)), WEB)
    assert by_place(steps) == {
        "Namespace shop": "its labels: env=prod, team=web",
        "pool prod": "10.1.0.0/24: nodeSelector all() selects node n1,"
        ' namespaceSelector env == "prod" selects Namespace shop',
        "pool test": '10.2.0.0/24: its namespaceSelector env == "test" does not select Namespace shop',
        "pool rack": '10.3.0.0/24: its nodeSelector rack == "b" does not select node n1',
        "pool named": "10.4.0.0/24: only an annotation chooses it (assignmentMode Manual)",
        "pool off": "10.5.0.0/24: it is disabled",
        "pool odd": "10.6.0.0/24: nothing is assigned from it until it is corrected: nodeSelector 'global()' must"
        " not use global()",
        "shop/web": "it gets its IPv4 address from prod, where 256 are not assigned",
    }
    assert not broken(steps)
    assert steps[0].text == "it is on n1 and has no address"


@pytest.mark.parametrize(
    ("of_pod", "of_namespace", "said", "chosen"),
    [
        ('["test"]', None, "its annotation .* names test, and comes before every selector", "test"),
        (None, '["10.4.0.0/24"]', "annotation .* of its Namespace names 10.4.0.0/24", "named"),
        (
            '["test","named"]',
            '["rack"]',
            r'comes before that of its Namespace \(\["rack"\]\) and every',
            "test, then named",
        ),
    ],
)
def test_the_annotation_that_wins_is_named_with_what_it_wins_over(
    of_pod: str | None, of_namespace: str | None, said: str, chosen: str
) -> None:
    key = "cni.projectcalico.org/ipv4pools"
    namespace = Namespace.make("shop", annotations={key: of_namespace} if of_namespace else None)
    steps = about_addresses(facts(namespace=namespace), pod(ipv4pools=of_pod) if of_pod else WEB)
    [annotation] = [step for step in steps if step.about == "annotation"]
    assert re.search(said, annotation.text)
    assert steps[-1].text.startswith(f"it gets its IPv4 address from {chosen}, where")
    assert by_place(steps)["pool prod"] == "10.1.0.0/24: the annotation does not name it"


def test_a_pod_that_no_pool_is_for_is_told_why() -> None:
    steps = about_addresses(facts(namespace=Namespace.make("shop", labels={"env": "dev"})), WEB)
    [why] = broken(steps)
    assert why.startswith(
        "it gets no IPv4 address: no pool for IPv4 on node n1: by its namespaceSelector none of prod, test"
    )
    assert steps[-1].effect == "attaching it fails, and its runtime tries again"


@pytest.mark.parametrize(
    ("changes", "asker", "sentence"),
    [
        ({"pools": ()}, WEB, "there is no pool at all"),
        ({"namespace": None}, WEB, "there is no such Namespace"),
        ({"ready": False}, WEB, "the datastore is locked: no address is assigned"),
        ({"ready": None}, WEB, "no agent has started with this datastore yet: no address is assigned"),
        ({}, pod(ipv4pools='["none"]'), "pool none was asked for, but there is no such enabled IPv4 pool"),
        ({}, pod(ipv4pools='["off"]'), "pool off was asked for"),
        ({}, pod(ipv4pools="test"), "annotation cni.projectcalico.org/ipv4pools of the pod is test, and no JSON list"),
        ({}, pod(floatingIPs='["10.9.0.1"]'), "which is not implemented"),
        ({"used": {"prod": 256}}, WEB, "every address of prod is assigned"),
        ({"has_namespaces": False, "namespace": None, "pools": (PROD,)}, WEB, "selects the pod's namespace"),
    ],
)
def test_what_keeps_a_pod_from_an_address_is_broken(changes: dict[str, Any], asker: PodRecord, sentence: str) -> None:
    assert sentence in "; ".join(broken(about_addresses(facts(**changes), asker)))


def test_an_address_that_is_asked_for_by_itself_comes_from_no_choice() -> None:
    held = facts(assigned={"10.1.0.9": Assigned("of-web", "shop/web")})
    for known in (FACTS, held):
        steps = about_addresses(known, pod(ipAddrs='["10.1.0.9"]'))
        assert steps[-1].text.endswith("ipAddrs asks for 10.1.0.9, whatever pools are chosen by")
        assert not broken(steps)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("here", 'asks for "here" is not an IP address'),
        ("10.9.9.9", "asks for 10.9.9.9, which lies in no enabled pool"),
        ("10.5.0.9", "asks for 10.5.0.9, which lies in no enabled pool"),
        ("10.1.0.9", "asks for 10.1.0.9, which shop/db has"),
    ],
)
def test_an_address_that_is_asked_for_and_cannot_be_had_is_said_why(asked: str, sentence: str) -> None:
    known = facts(assigned={"10.1.0.9": Assigned("of-db", "shop/db")})
    [text] = broken(about_addresses(known, pod(ipAddrs=f'["{asked}"]')))
    assert text.endswith(sentence)
    running = about_addresses(known, pod("10.1.0.3", ipAddrs=f'["{asked}"]'))
    assert (running[-1].state, running[-1].text) == (StepState.DOUBTFUL, text)


def test_an_address_past_ipam_is_doubtful_until_the_pod_has_it() -> None:
    asked = {"ipAddrsNoIpam": '["192.0.2.9"]'}
    waiting = about_addresses(FACTS, pod(**asked))[-1]
    assert waiting.state is StepState.DOUBTFUL
    assert waiting.text.endswith("ipAddrsNoIpam asks for 192.0.2.9, past IPAM")
    assert waiting.effect == "attaching it is refused unless the network's feature_control allows it"
    running = about_addresses(FACTS, pod("192.0.2.9", **asked))[-1]
    assert running.state is StepState.OK
    [text] = broken(about_addresses(FACTS, pod(ipAddrs='["10.1.0.9"]', **asked)))
    assert text.endswith("ipAddrs for 10.1.0.9")


def test_a_mac_address_that_no_device_can_have_is_refused() -> None:
    assert not broken(about_addresses(FACTS, pod(hwAddr="02:00:00:00:00:01")))
    [text] = broken(about_addresses(FACTS, pod(hwAddr="01:00:5e:00:00:01")))
    assert text.endswith("hwAddr is 01:00:5e:00:00:01, a MAC address that no device can have")


def test_a_family_that_is_asked_for_needs_a_pool() -> None:
    [text] = broken(about_addresses(FACTS, pod(ipFamilies='["IPv4", "IPv6"]')))
    assert text.startswith("it gets no IPv6 address: no pool for IPv6")
    [text] = broken(about_addresses(FACTS, pod(ipFamilies='["IPv5"]')))
    assert text.endswith("ipFamilies of the pod names IPv5, and may only IPv4 and IPv6")


def test_a_pod_with_an_address_is_told_whether_it_would_get_such_a_one_again() -> None:
    kept = about_addresses(FACTS, pod("10.1.0.7"))
    assert (kept[-1].state, kept[-1].text) == (StepState.OK, "10.1.0.7 is of pool prod, as it would be anew: prod")
    moved = about_addresses(FACTS, pod("10.2.0.7"))
    assert moved[-1].state is StepState.DOUBTFUL
    assert moved[-1].text == "10.2.0.7 is of pool test; when it is attached anew it gets its IPv4 address from prod"
    alone = about_addresses(facts(pools=(TEST,)), pod("10.2.0.7"))
    assert "it keeps its IPv4 address, and would get no other" in alone[-1].text
    assert not broken(alone)


def test_a_family_that_the_network_may_not_assign_is_a_doubt() -> None:
    steps = about_addresses(facts(pools=(PROD, SIX)), WEB)
    assert (steps[-1].state, broken(steps)) == (StepState.DOUBTFUL, [])
    assert steps[-1].text.startswith("it gets no IPv6 address, should its network assign any")
    only = about_addresses(facts(pools=(PROD, SIX)), pod(ipFamilies='["IPv4"]'))
    assert only[-1].text.startswith("it gets its IPv4 address")


def test_a_pod_yet_to_come_is_told_what_it_would_get_on_a_node_that_the_pool_selects() -> None:
    steps = about_addresses(FACTS, pod(node=""))
    assert steps[0].text == "there is no such pod on a node: this is what it would get"
    assert by_place(steps)["pool rack"] == '10.3.0.0/24: nodeSelector rack == "b" selects its node'
    assert steps[-1].text == "it gets its IPv4 address from prod, then rack, where 512 are not assigned"
    alone = about_addresses(facts(pools=(RACK.with_spec(node_selector="has(rack"),)), pod(node=""))
    assert "rack is not used: spec.nodeSelector" in broken(alone)[-1]


def test_the_verdict_is_what_is_said_of_the_pod_or_what_first_keeps_it_from_an_address() -> None:
    judged = verdict_on(WEB, about_addresses(FACTS, WEB))
    assert judged.reachable and judged.sentence.startswith("shop/web: it gets its IPv4 address from prod")
    locked = facts(ready=False)
    judged = verdict_on(WEB, about_addresses(locked, WEB))
    assert not judged.reachable and judged.first in about_addresses(locked, WEB)
    assert judged.sentence.endswith("; attaching a pod fails until felixctl datastore unlock")


def test_the_addresses_in_use_are_counted_by_pool() -> None:
    assert used_addresses(RECORDS) == {"pods": 3}
