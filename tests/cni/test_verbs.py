"""Many requests at once, in any order, each with an error code of CNI."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import datastore
from cni.attacher import FakeAttacher
from cni.attachment import Attachment
from cni.errors import CniError, Code
from cni.journal import Journal
from cni.locks import lock_keys
from cni.pod_devices import FakePodDevices
from cni.request import CniRequest, parse
from cni.settings import CniSettings
from cni.verbs import LEFT, NOT_READY, Verbs, pod_namespace, translated
from cni.veth import Veth
from datastore.errors import Conflict, Forbidden, Invalid, Unavailable
from ipam.allocator import Allocator
from ipam.errors import BadPool, Contention, Exhausted, NoPools, NotInPool, UnfitAddress
from kernel.link_codec import Link
from kernel.netlink import KernelError
from kernel.netns import new_network_namespace
from tests.cni.conftest import call, configuration, open_namespaces
from tests.cni.node import on_a_node, serving_node
from tests.datastore.memory_store import MemoryStore

KNOWN: list[tuple[Exception, int]] = [
    (Unavailable("the store is away"), 11),
    (Conflict("lost every race"), 11),
    (Contention("lost every race"), 11),
    (Invalid("not readable"), 7),
    (BadPool("no such pool"), 7),
    (NoPools("no pool"), 7),
    (NotInPool("in no pool"), 7),
    (UnfitAddress("it is a node's"), 7),
    (Exhausted("no address is left"), 101),
    (KernelError("create cali1: no such device", 19), 103),
]


@pytest.mark.parametrize(("error", "code"), KNOWN, ids=[type(error).__name__ for error, _ in KNOWN])
def test_every_known_error_has_a_code_and_says_what_was_tried(error: Exception, code: int) -> None:
    with pytest.raises(CniError) as caught, translated("ADD default/web-1", LEFT["ADD"]):
        raise error
    assert caught.value.code == code
    assert caught.value.sentence.startswith(f"ADD default/web-1: {error}")


@pytest.mark.parametrize("are_pods", [True, False])
def test_a_container_may_outlive_its_endpoint_where_that_is_a_pod(tmp_path: Path, are_pods: bool) -> None:
    attachment = Attachment("net", "c1", "eth0")

    link = Link(7, "cali1", up=True, carrier=True, mtu=1500, mac=bytes(6), alias="felix net c1 eth0")
    hosts = Link(2, "eth0", up=True, carrier=True, mtu=1500, mac=bytes(6))
    store = MemoryStore(atomic=not are_pods)
    journal = Journal(tmp_path / "journal")
    verbs = Verbs(CniSettings("n1"), store, Allocator(store), FakeAttacher(), journal, FakePodDevices())
    assert verbs.outliving_handles([hosts, link]) == ({attachment.handle} if are_pods else set())


def test_an_error_that_has_a_code_already_and_an_unknown_one_pass_unchanged() -> None:
    for error in (CniError(Code.DIFFERENT, "different"), ZeroDivisionError()):
        with pytest.raises(type(error)) as caught, translated("CHECK", LEFT["CHECK"]):
            raise error
        assert caught.value is error


def request(verb: str, **environment: str) -> CniRequest:
    return parse(call(verb, CNI_NETNS="/run/netns/a", **environment), json.dumps(configuration()).encode())


@asynccontextmanager
async def verbs(
    timeout_seconds: float = 60, observe: Callable[[CniRequest], None] = lambda request: None
) -> AsyncIterator[Verbs]:
    """The verbs over an empty store in memory."""
    store, veth = datastore.open("sqlite:///:memory:"), Veth()
    with TemporaryDirectory() as folder, closing(veth):
        journal = Journal(Path(folder) / "released.journal")
        yield Verbs(
            CniSettings("n1", timeout_seconds=timeout_seconds),
            store,
            Allocator(store),
            FakeAttacher(),
            journal,
            veth,
            observe=observe,
        )
        await store.close()


async def test_version_needs_nothing_but_the_request() -> None:
    async with verbs() as serving:
        answer = await serving.run(request("VERSION"), None)
    assert answer == {"cniVersion": "1.1.0", "supportedVersions": ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]}


@pytest.mark.parametrize("verb", ["ADD", "CHECK"])
async def test_without_a_namespace_the_reason_of_the_shim_is_passed_on(verb: str) -> None:
    async with verbs() as serving:
        with pytest.raises(CniError, match="open CNI_NETNS /run/netns/a: No such file") as refused:
            await serving.run(request(verb, CNI_NETNS_ERROR="No such file or directory"), None)
    assert refused.value.code == 8


async def test_each_add_is_observed_even_if_it_fails_and_no_other_verb() -> None:
    observed: list[CniRequest] = []
    add, check = request("ADD"), request("CHECK")
    async with verbs(observe=observed.append) as serving:
        for each in (check, add):
            with pytest.raises(CniError):
                await serving.run(each, None)
    assert observed == [add]


def test_the_nodes_own_namespace_is_a_pods_only_where_the_runtime_insists() -> None:
    with open("/proc/thread-self/ns/net") as own:
        with pytest.raises(CniError, match="the node's own network namespace"):
            pod_namespace(request("ADD"), own.fileno())
        assert pod_namespace(request("ADD", CNI_NETNS_OVERRIDE="TRUE"), own.fileno()) == own.fileno()


async def test_a_request_that_waits_too_long_is_given_up_with_code_11() -> None:
    async with verbs(timeout_seconds=0.05) as serving:
        late = request("DEL")
        async with serving.locks.hold(*lock_keys(late.attachment, late.pod)):
            with pytest.raises(CniError, match=r"not done within 0\.05 s; .* nothing was begun") as refused:
                await serving.run(late, None)
    assert refused.value.code == 11


@pytest.mark.parametrize("verb", ["ADD", "DEL", "CHECK"])
async def test_a_request_that_takes_too_long_says_what_it_left(verb: str) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    async with verbs(timeout_seconds=0.05) as serving:
        serving._add.run = serving._del.run = serving._check.run = never  # type: ignore[method-assign, assignment]
        netns = new_network_namespace()
        with pytest.raises(CniError) as refused:
            await serving.run(request(verb), netns)
        os.close(netns)
    assert refused.value.sentence.endswith(f"not done within 0.05 s; {LEFT[verb]}; try again later")
    assert ("undone" in refused.value.sentence) == (verb == "ADD")


@pytest.mark.parametrize(
    ("verb", "error", "soon"),
    [
        ("ADD", Unavailable("it is away"), True),
        ("ADD", Forbidden("the role lacks it"), False),
        ("ADD", NoPools("no pool"), False),
        ("CHECK", Unavailable("it is away"), False),
    ],
)
async def test_a_kubelet_is_to_ask_again_soon_for_what_an_absence_hinders(
    verb: str, error: Exception, soon: bool
) -> None:
    async def fail(*_: object) -> None:
        raise error

    async with verbs() as serving:
        serving._add.run = serving._check.run = fail  # type: ignore[method-assign, assignment]
        netns = new_network_namespace()
        with pytest.raises(CniError) as refused:
            await serving.run(request(verb), netns)
        os.close(netns)
    assert (NOT_READY in refused.value.sentence) == soon


@on_a_node
async def test_thirty_at_once_get_thirty_addresses(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        await node.add(node.sandbox())
        before = open_namespaces()
        pods = [node.sandbox() for _ in range(30)]
        results = await asyncio.gather(*map(node.add, pods))
        assert len({result["ips"][0]["address"] for result in results}) == 30
        assert len(await node.host_routes()) == 31
        await asyncio.gather(*map(node.delete, pods))
        assert len(await node.host_routes()) == 1
        assert open_namespaces() == before + 30  # those that this test holds, and no other


@on_a_node
async def test_one_container_is_served_one_call_at_a_time(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox()
        results = await asyncio.gather(*(node.add(pod) for _ in range(5)))
        assert all(result == results[0] for result in results)
        assert len(await node.assigned(pod)) == 1
        await asyncio.gather(*(node.delete(pod) for _ in range(5)))
        assert await node.holds_nothing()


@pytest.mark.parametrize("seed", range(3))
@on_a_node
async def test_no_order_of_calls_leaves_anything_without_an_owner(shim: Path, tmp_path: Path, seed: int) -> None:
    """ADD, DEL and GC at random, side by side, with a datastore that comes and goes and an agent that is replaced."""
    dice = random.Random(seed)
    async with serving_node(shim, tmp_path) as node:
        pods = [node.sandbox(f"pod-{number % 3}") for number in range(6)]
        for _ in range(12):
            node.switch.away = False
            node.switch.calls_left = dice.choice([None, None, dice.randrange(20)])
            chosen = [(dice.choice(["ADD", "DEL"]), pod) for pod in dice.sample(pods, 3)]
            await asyncio.gather(*(node.call(pod.environment(verb)) for verb, pod in chosen))
        node.switch.calls_left, node.switch.away = None, False
        await asyncio.gather(*map(node.delete, pods))
        await node.clean_up()
        assert await node.holds_nothing()
