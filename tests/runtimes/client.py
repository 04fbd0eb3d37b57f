"""A container runtime made of libcni alone: it makes namespaces, and calls a network's plugins in them."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.runtimes.machine import Machine

FOLDER = "/etc/cni/net.d"
OURS = f"{FOLDER}/10-felix.conflist"
PLUGINS = "/opt/cni/bin:/usr/lib/cni"
CACHE = "/var/lib/cni/libcni"
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Answer:
    """What libcni says: the result of an ADD; code 0, the plugin's code, or -1 for libcni's own error."""

    result: dict[str, Any] | None
    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A container, its network namespace by name, and what a runtime says of one of its devices."""

    id: str
    namespace: str
    pod: str
    device: str = "eth0"
    file: str = OURS
    capabilities: Mapping[str, Any] = field(default_factory=dict)

    @property
    def request(self) -> dict[str, Any]:
        args = {"IgnoreUnknown": "1", "K8S_POD_NAMESPACE": "default", "K8S_POD_NAME": self.pod}
        return {
            "file": self.file,
            "id": self.id,
            "netns": f"/run/netns/{self.namespace}",
            "ifname": self.device,
            "args": [*map(list, args.items())],
            "capabilities": self.capabilities,
        }


class Libcni:
    """Its calls go to the plugins of one machine. As CRI-O does, it checks each attachment that it has added."""

    def __init__(self, machine: Machine, program: Path) -> None:
        self.machine = machine
        self._namespaces: list[str] = []
        shutil.copy(program, machine.path("/opt/libcni"))

    def container(self, **more: Any) -> Attachment:
        """Return a new container with an empty network namespace."""
        name = f"c{next(_numbers)}"
        self.machine.run("ip", "netns", "add", name)
        self._namespaces.append(name)
        return Attachment(id=f"{name}-id", namespace=name, pod=f"pod-{name}", **more)

    def network(self, name: str, *plugins: Mapping[str, Any], version: str = "1.0.0") -> str:
        """Write a network's configuration where no runtime looks for its default one; return its path."""
        path = f"/etc/cni/{name}.conflist"
        self.machine.write(path, json.dumps({"cniVersion": version, "name": name, "plugins": plugins}))
        return path

    def call(self, verb: str, **fields: Any) -> Answer:
        environment = {"CNI_PATH": PLUGINS, "CNI_CACHE": CACHE}
        told = self.machine.run("/opt/libcni", feed=json.dumps({"verb": verb, **fields}), environment=environment)
        return Answer(**json.loads(told))

    def add(self, attachment: Attachment) -> dict[str, Any]:
        """Attach, and check at once; return the result."""
        added = self.call("ADD", **attachment.request)
        assert added.code == 0 and added.result is not None, added.message
        self.check(attachment)
        return added.result

    def check(self, attachment: Attachment) -> None:
        checked = self.call("CHECK", **attachment.request)
        assert checked.code == 0, checked.message

    def delete(self, attachment: Attachment) -> None:
        deleted = self.call("DEL", **attachment.request)
        assert deleted.code == 0, deleted.message

    def collect(self, *valid: Attachment, file: str = OURS) -> None:
        kept: Sequence[dict[str, str]] | None = [{"containerID": each.id, "ifname": each.device} for each in valid]
        collected = self.call("GC", file=file, valid=kept or None)
        assert collected.code == 0, collected.message

    def end(self) -> None:
        self.collect()
        for name in self._namespaces:
            self.machine.try_run("ip", "netns", "delete", name)

    def inside(self, attachment: Attachment, command: str) -> str:
        """Run a command in a container's network; return its output."""
        return self.machine.run("ip", "netns", "exec", attachment.namespace, *command.split())

    def answers(self, address: str) -> bool:
        """Return whether a container answers this machine's ping."""
        return self.machine.try_run("ping", "-c", "1", "-W", "2", address).returncode == 0


def address(result: Mapping[str, Any]) -> str:
    """Return the first address of a result, without its length."""
    return str(result["ips"][0]["address"]).partition("/")[0]
