"""What a container runtime does for a pod: its namespace, then the plugins of the conflist, in order.

The conflist is read from /etc/cni/net.d and the plugins are executed from /opt/cni/bin of the node, with
the environment and standard input that the CNI specification prescribes; nothing here depends on our plugin.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import signal
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from lab.node_namespace import NodeNamespace, kill

NET_D, BIN = "/etc/cni/net.d", "/opt/cni/bin"
INTERFACE = "eth0"
TRY_AGAIN = 11
_POD = Path(__file__).with_name("pod.py")


class PluginError(Exception):
    """A plugin refused; `code` is its CNI error code, `reason` its message."""

    def __init__(self, what: str, code: int, message: str) -> None:
        super().__init__(f"{what}: {message} (code {code})")
        self.code, self.reason = code, message


class RunningPod(Struct, frozen=True, eq=False):
    """An attached pod: who it is, what the plugins answered, and the process that lives in it."""

    name: str
    namespace: str
    node: str
    container: str
    uid: str
    result: dict[str, Any]
    process: asyncio.subprocess.Process
    asking: asyncio.Lock

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(each["address"].partition("/")[0] for each in self.result.get("ips", ()))

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Put one request to the pod's process (lab/pod.py) and return its answer."""
        async with self.asking:
            assert self.process.stdin and self.process.stdout
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            line = await self.process.stdout.readline()
        if not line:
            raise ConnectionError(f"ask pod {self.name} on {self.node}: its process has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


class ContainerRuntime:
    """The container runtime of one node."""

    def __init__(self, node: NodeNamespace) -> None:
        self.node = node
        self.pods: dict[str, RunningPod] = {}

    async def status(self) -> bool:
        """True if every plugin of the network reports that it can serve an ADD now."""
        try:
            await self._chain("STATUS", {})
        except PluginError:
            return False
        return True

    async def add(self, name: str, namespace: str = "default", uid: str = "", address: str = "") -> RunningPod:
        """Start a pod and attach it. uid: of the pod, where there is an API that has pods. address: that it asks for.

        Raises PluginError, after the DEL that a runtime sends then too.
        """
        container = secrets.token_hex(32)
        process = await self._start_pod(container)
        try:
            asked = _arguments(name, namespace, container, uid)
            if address:
                asked["CNI_ARGS"] += f";IP={address}"
            result = await self._chain("ADD", asked)
        except PluginError:
            with contextlib.suppress(PluginError):  # what this DEL cannot do, a later GC does
                await self._chain("DEL", _arguments(name, namespace, container, uid))
            await self._end_pod(process, container)
            raise
        pod = RunningPod(name, namespace, self.node.name, container, uid, result or {}, process, asyncio.Lock())
        self.pods[name] = pod
        return pod

    async def delete(self, name: str) -> None:
        """Detach a pod and end it. A failed DEL leaves it listed, to be deleted again, as a runtime does."""
        pod = self.pods[name]
        arguments = _arguments(pod.name, pod.namespace, pod.container, pod.uid)
        await self._chain("DEL", arguments, pod.result)
        await self._end_pod(pod.process, pod.container)
        del self.pods[name]
        with contextlib.suppress(PluginError):  # runtimes send it twice; the first has succeeded, and GC repeats it
            await self._chain("DEL", arguments)

    async def check(self, name: str) -> None:
        """Ask the plugins whether the pod is as they left it. Raises PluginError."""
        pod = self.pods[name]
        await self._chain("CHECK", _arguments(pod.name, pod.namespace, pod.container, pod.uid), pod.result)

    async def collect(self) -> None:
        """Have the plugins take back what belongs to none of these pods (GC). Raises PluginError."""
        valid = [{"containerID": pod.container, "ifname": INTERFACE} for pod in self.pods.values()]
        await self._chain("GC", {}, more={"cni.dev/valid-attachments": valid})

    async def _start_pod(self, container: str) -> asyncio.subprocess.Process:
        process = await self.node.start(
            sys.executable, "-I", "-S", str(_POD), _netns(container), stdin=asyncio.subprocess.PIPE
        )
        assert process.stdout
        if not await process.stdout.readline():
            raise PluginError(f"start a pod on {self.node.name}", 0, "its process ended before it was ready")
        return process

    async def _end_pod(self, process: asyncio.subprocess.Process, container: str) -> None:
        await self.node.run("umount", _netns(container))
        self.node.path(_netns(container)).unlink(missing_ok=True)
        kill(process.pid, signal.SIGKILL)
        await process.wait()

    def _network(self) -> dict[str, Any]:
        """Return the first conflist in name order, as the runtimes in the field choose it."""
        folder = self.node.path(NET_D)
        files = sorted(folder.glob("*.conflist"))
        if not files:
            raise PluginError(f"read {NET_D} of {self.node.name}", 7, "there is no conflist")
        network: dict[str, Any] = json.loads(files[0].read_text())
        return network

    async def _chain(
        self,
        verb: str,
        arguments: dict[str, str],
        previous: dict[str, Any] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> dict[str, Any] | None:
        """Run one verb through the network's plugins, backwards for DEL; return the last result of an ADD."""
        network = self._network()
        plugins: Iterable[dict[str, Any]] = network["plugins"]
        for plugin in reversed(list(plugins)) if verb == "DEL" else plugins:
            request = {**plugin, "name": network["name"], "cniVersion": newest_version(network), **(more or {})}
            if previous is not None:
                request["prevResult"] = previous
            answer = await self._execute(verb, plugin["type"], request, arguments)
            previous = answer if verb == "ADD" else previous
        return previous

    async def _execute(
        self, verb: str, plugin: str, request: dict[str, Any], arguments: dict[str, str]
    ) -> dict[str, Any] | None:
        what = f"{verb} {arguments.get('CNI_ARGS', 'network')} on {self.node.name} by {plugin}"
        status, printed, errors = await self.node.run(
            f"{BIN}/{plugin}",
            environment={"CNI_COMMAND": verb, "CNI_PATH": BIN, **arguments},
            feed=json.dumps(request).encode(),
        )
        try:
            answer = json.loads(printed) if printed.strip() else None
        except ValueError:
            raise PluginError(what, 6, f"it printed {printed[:200]!r}, which is not JSON") from None
        if status:
            error = answer or {"code": status, "msg": errors.decode(errors="replace") or "it printed nothing"}
            message = ": ".join(filter(None, (error.get("msg"), error.get("details"))))
            raise PluginError(what, error.get("code", 0), message)
        return answer


def newest_version(network: dict[str, Any]) -> str:
    """Return the highest version the conflist is valid for: a runtime uses the newest that both know."""
    versions: list[str] = [network["cniVersion"], *network.get("cniVersions", ())]
    return max(versions, key=lambda version: [int(part) for part in version.split(".")])


def _arguments(name: str, namespace: str, container: str, uid: str) -> dict[str, str]:
    return {
        "CNI_CONTAINERID": container,
        "CNI_NETNS": _netns(container),
        "CNI_IFNAME": INTERFACE,
        "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name};"
        f"K8S_POD_INFRA_CONTAINER_ID={container};K8S_POD_UID={uid}",
    }


def _netns(container: str) -> str:
    return f"/run/netns/cni-{container[:16]}"
