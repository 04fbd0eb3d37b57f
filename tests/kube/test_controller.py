"""Controllers as processes of their own, with the rights of their role, on a real API server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from controller.cluster_view import KubeControllersConfiguration
from controller.running_config import DEFAULTS
from datastore.cas import found_or_none
from datastore.errors import NotFound
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMHandle
from datastore.kinds.lease import Lease
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kube.client import ApiClient
from datastore.kube.store import KubeStore
from datastore.names import workload_endpoint_name
from datastore.record import Resource
from ipam.allocator import AddressesWanted, Allocator
from tests.ipam.world import node, owners, pool
from tests.kube.bed import Bed
from tests.kube.kubectl import kubectl
from tests.kube.roles import CONTROLLER, NODE, VIEWER, install_roles

NAME, NAMESPACE = "felix-py-controller", "kube-system"
PATIENCE_SECONDS = 60.0
DEFINITION = "kubecontrollersconfigurations.crd.projectcalico.org"
SUBRESOURCE = '{"op": "add", "path": "/spec/versions/0/subresources", "value": {"status": {}}}'
NO_SUBRESOURCE = '{"op": "remove", "path": "/spec/versions/0/subresources"}'


@dataclass
class Controller:
    """One process; `name` begins its identity."""

    name: str
    process: asyncio.subprocess.Process
    port: int
    log: Path

    async def until_page(self, path: str, wanted: str) -> None:
        """Wait until a page says something, whatever its status."""

        def fetch() -> str:
            try:
                with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                    return str(answer.read().decode())
            except HTTPError as error:
                return f"{error.code} {error.read().decode()}"
            except OSError as error:  # it does not listen yet, or the machine is busy
                return str(error)

        said = ""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while wanted not in (said := await asyncio.to_thread(fetch)):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        except TimeoutError:
            pytest.fail(f"{path} says {said!r} and not {wanted!r}:\n{self.log.read_text()[-3000:]}")


@dataclass
class Cluster:
    """An API server, its administrator's store, and controllers."""

    bed: Bed
    folder: Path
    store: KubeStore

    @asynccontextmanager
    async def controller(self, name: str, **settings: str) -> AsyncIterator[Controller]:
        """Run one; it is asked to end, unless it has ended."""
        port, log = _free_port(), self.folder / f"{name}.log"
        environment = {
            **os.environ,
            "FELIX_DATASTORE": f"kubernetes://{self.bed.control_plane.kubeconfig_of(CONTROLLER)}",
            "HOSTNAME": name,
            "FELIX_CONTROLLERHOST": "127.0.0.1",
            "FELIX_CONTROLLERPORT": str(port),
            "FELIX_LEAKGRACEPERIOD": "1",
            **settings,
        }
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "controller", env=environment, stdout=output, stderr=output
            )
        try:
            yield Controller(name, process, port, log)
        finally:
            if process.returncode is None:
                process.terminate()
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await process.wait()

    async def delete_node(self, name: str) -> None:
        client = ApiClient(self.bed.access)
        await client.request(f"delete {name}", "DELETE", f"/api/v1/nodes/{name}")
        await client.close()

    async def lease(self) -> Lease | None:
        try:
            return await self.store.get(Lease, NAME, NAMESPACE)
        except NotFound:
            return None

    async def delete_lease(self) -> None:
        if (lease := await self.lease()) is not None:
            await self.store.delete(lease)

    async def leader(self) -> str:
        """Return the name of who holds the Lease; "": nobody."""
        lease = await self.lease()
        return (lease.spec.holder or "").partition("_")[0] if lease else ""

    async def until_leading(self, name: str) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.leader() != name:  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    async def until_held(self, wanted: set[str]) -> None:
        """Wait until these handles and no others have addresses."""
        found: set[str | None] = set()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (found := set((await owners(self.store)).values())) != wanted:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        except TimeoutError:
            logs = "\n".join(log.read_text() for log in self.folder.glob("*.log"))
            pytest.fail(f"{found} have addresses and not {wanted}:\n{logs[-3000:]}")


@pytest.fixture
async def cluster(bed: Bed, tmp_path: Path) -> AsyncIterator[Cluster]:
    await install_roles(bed)
    found = Cluster(bed, tmp_path, bed.open())
    # As one that was given back: who finds none waits until whoever may have had it has stopped.
    await found.delete_lease()
    await found.store.create(Lease.make(NAME, NAMESPACE, holder="", duration_seconds=1))
    await found.store.create(pool("pods", "10.65.0.0/24", block_size=28))
    await found.store.create(node("n1"))
    await found.store.create(ClusterInformation.make("default", clusterGUID="a", datastoreReady=True))
    yield found
    await found.store.close()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def leak(store: KubeStore, pod: str, host: str = "n1") -> None:
    """Assign an address to a pod that there is not."""
    attributes = {"namespace": "default", "pod": pod, "node": host}
    await Allocator(store).assign(AddressesWanted(host, f"net.{pod}", attributes, ipv4=1))


async def test_one_of_two_controllers_collects_and_the_other_takes_over_when_it_ends(cluster: Cluster) -> None:
    await leak(cluster.store, "first")
    async with cluster.controller("a") as first:
        await cluster.until_leading("a")
        async with cluster.controller("b") as second:
            await cluster.until_held(set())
            await first.until_page("/readyz", "ready, leading as a_")
            await _until(lambda: second.log.read_text(), "standing by")
            await second.until_page("/readyz", "ready, standing by for a_")
            await second.until_page("/metrics", "felix_controller_leading 0.0")
            first.process.send_signal(signal.SIGTERM)
            assert await first.process.wait() == 0
            await cluster.until_leading("b")
            await leak(cluster.store, "second")
            await cluster.until_held(set())
    assert await cluster.leader() == ""


async def test_a_controller_whose_port_another_program_has_works_all_the_same_and_serves_it_later(
    cluster: Cluster,
) -> None:
    await leak(cluster.store, "lost")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        async with cluster.controller("a", FELIX_CONTROLLERPORT=str(port)) as controller:
            await cluster.until_held(set())
            await _until(lambda: controller.log.read_text(), "Address already in use; probes fail")
            other.close()
            controller.port = port
            await controller.until_page("/readyz", "ready, leading as a_")


async def test_the_clusters_configuration_is_made_and_its_status_kept_wherever_its_definition_keeps_that(
    cluster: Cluster,
) -> None:
    async def until_status(leak_grace_period: str) -> Resource:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                found = await found_or_none(cluster.store.get(KubeControllersConfiguration, "default"))
                status = (found.model_extra or {}).get("status", {}) if found else {}
                node = status.get("runningConfig", {}).get("controllers", {}).get("node", {})
                if found and node.get("leakGracePeriod") == leak_grace_period:
                    return found
                await asyncio.sleep(0.1)

    async with cluster.controller("a", FELIX_LEAKGRACEPERIOD=""):
        made = await until_status("15m0s")
        assert made.spec.to_json() == DEFAULTS
        await cluster.store.delete(made)
        made = await until_status("15m0s")
    kubectl(cluster.bed, "patch", "crd", DEFINITION, "--type=json", "--patch", f"[{SUBRESOURCE}]")
    try:
        spec = {"controllers": {"node": {"leakGracePeriod": "30m"}}, "new": 1}
        written = made.to_json() | {"status": {}, "spec": spec}
        await cluster.store.update(KubeControllersConfiguration.read(written))
        async with cluster.controller("b", FELIX_LEAKGRACEPERIOD=""):
            found = await until_status("30m0s")
            assert found.spec.to_json() == spec
    finally:
        kubectl(cluster.bed, "patch", "crd", DEFINITION, "--type=json", "--patch", f"[{NO_SUBRESOURCE}]")


async def test_beside_calicos_kube_controllers_its_configuration_is_left_alone(cluster: Cluster) -> None:
    await cluster.bed.make_namespace("calico-system")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "calico-kube-controllers-1", "labels": {"k8s-app": "calico-kube-controllers"}},
        "spec": {"automountServiceAccountToken": False, "containers": [{"name": "c", "image": "none"}]},
    }
    await cluster.bed.put(WorkloadEndpoint, json.dumps(pod).encode(), "calico-system")
    async with cluster.controller("a") as controller:
        await _until(lambda: controller.log.read_text(), "kube-controllers runs (calico-system/calico-kube-contr")
    assert await found_or_none(cluster.store.get(KubeControllersConfiguration, "default")) is None


async def test_a_viewer_sees_who_leads(cluster: Cluster) -> None:
    async def said() -> str:
        url = f"kubernetes://{cluster.bed.control_plane.kubeconfig_of(VIEWER)}"
        command = (sys.executable, "-m", "felixctl", "ipam", "check", "--datastore", url)
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
        out, err = await process.communicate()
        assert out.decode().endswith("Check complete; found 0 problems.\n")
        return err.decode()

    assert "No controller acts: nobody holds the Lease kube-system/felix-py-controller; " in await said()
    async with cluster.controller("a"):
        await cluster.until_leading("a")
        assert (await said()).startswith("The controller a acts since ")


async def test_a_controller_that_was_stopped_and_goes_on_finds_another_in_its_place(cluster: Cluster) -> None:
    async with cluster.controller("a") as first:
        await cluster.until_leading("a")
        async with cluster.controller("b"):
            first.process.send_signal(signal.SIGSTOP)
            await cluster.until_leading("b")
            first.process.send_signal(signal.SIGCONT)
            await _until(lambda: first.log.read_text(), "standing by: the Lease is held by b_")
            assert "no longer leading" in first.log.read_text()
            assert await cluster.leader() == "b"


async def _until(text: Callable[[], str], wanted: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while wanted not in text():  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_a_node_that_is_deleted_gives_back_its_blocks_and_one_that_is_made_anew_keeps_them(
    cluster: Cluster,
) -> None:
    pods = {}
    for host in ("n7", "n8", "n9"):
        await cluster.store.create(node(host))
        await leak(cluster.store, f"of-{host}", host)
        [address] = await Allocator(cluster.store).held(f"net.of-{host}")
        pods[host] = await cluster.store.create(
            WorkloadEndpoint.make(
                workload_endpoint_name(host, f"of-{host}"),
                "default",
                node=host,
                pod=f"of-{host}",
                ip_networks=[f"{address}/32"],
            )
        )
    async with cluster.controller("a", FELIX_LEAKGRACEPERIOD="3600") as controller:
        await cluster.until_leading("a")
        await cluster.delete_node("n7")
        await cluster.store.create(node("n7"))
        await cluster.store.delete(pods["n7"])  # its address leaked, and has the grace time
        await cluster.delete_node("n8")
        await cluster.store.delete(pods["n8"])
        await cluster.delete_node("n9")  # a pod of it is still there
        await cluster.until_held({"net.of-n7", "net.of-n9"})
        await cluster.store.delete(pods["n9"])
        await cluster.until_held({"net.of-n7"})
        async with asyncio.timeout(PATIENCE_SECONDS):
            for kind in (IPAMBlock, BlockAffinity, IPAMHandle):
                while len((await cluster.store.list(kind)).objects) > 1:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        await controller.until_page("/metrics", "felix_controller_released_addresses_total 2.0")


async def test_while_the_datastore_is_locked_nothing_is_given_back(cluster: Cluster) -> None:
    await leak(cluster.store, "lost")
    held = await cluster.store.get(ClusterInformation, "default")
    held = await cluster.store.update(held.with_spec(datastore_ready=False))
    async with cluster.controller("a") as controller:
        await _until(lambda: controller.log.read_text(), "nothing is given back: an administrator has locked")
        await controller.until_page("/readyz", "an administrator has locked the datastore")
        assert set((await owners(cluster.store)).values()) == {"net.lost"}
        await cluster.store.update(held.with_spec(datastore_ready=True))
        await cluster.until_held(set())


async def test_an_api_server_that_is_away_ends_leading_and_is_taken_up_again(cluster: Cluster) -> None:
    async with cluster.controller("a") as controller:
        await cluster.until_leading("a")
        os.kill(cluster.bed.control_plane.api_server.pid, signal.SIGSTOP)
        try:
            await _until(
                lambda: controller.log.read_text(), "no longer leading: the Lease could not be renewed in time"
            )
        finally:
            os.kill(cluster.bed.control_plane.api_server.pid, signal.SIGCONT)
        await leak(cluster.store, "lost")
        await cluster.until_held(set())


async def test_a_controller_without_rights_says_so_and_frees_nothing(cluster: Cluster) -> None:
    """One may not read the Lease. One may not write it, which it is to do at once where there is none."""
    await leak(cluster.store, "kept")
    await cluster.delete_lease()
    for account in (NODE, VIEWER):
        other = f"kubernetes://{cluster.bed.control_plane.kubeconfig_of(account)}"
        async with cluster.controller(account, FELIX_DATASTORE=other) as denied:
            await _until(lambda log=denied.log: log.read_text(), "the role of this account lacks it")  # type: ignore[misc]
            await denied.until_page("/readyz", "503 not ready")
    assert set((await owners(cluster.store)).values()) == {"net.kept"}
    assert await cluster.leader() == ""
