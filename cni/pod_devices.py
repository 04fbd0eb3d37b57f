"""The devices of this node's pods as the verbs see them, and a fake of them without a kernel."""

from __future__ import annotations

from itertools import count
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from cni.attachment import Attachment
from cni.pod_network import HOST_MAC, PodNetwork

LABEL: Final = "felix"
"""How the label of a pod's device begins, which a space and whose it is follow."""


class VethPair(Struct, frozen=True):
    """A pair of devices as it reads back."""

    index: int
    """Of the host's end."""
    host_mac: str
    mac: str
    mtu: int


class OwnedLink(Struct, frozen=True):
    """A host's end that bears our label."""

    index: int
    name: str
    attachment: Attachment
    peer: int = 0
    """The index of the container's end, in its namespace; 0: not known."""
    pod_uid: str = ""
    """Of the pod that its endpoint is, where endpoints are pods."""
    namespace: int = 0
    """The cookie of the container's namespace, where this process made the device; 0: not known."""


class PodDevices(Protocol):
    """Makes, finds, compares and retires pods' devices."""

    async def make(self, network: PodNetwork, netns: int, pod_uid: str = "") -> VethPair:
        """Make the pair and configure the container's end; on failure nothing of it stays. Raises KernelError.

        pod_uid: goes into the label, if there is room.
        A device that has the name already is an older container's, or this one's from an ADD that was killed.
        """

    def inspect(self, network: PodNetwork, netns: int) -> tuple[VethPair | None, list[str]]:
        """Return the pair as it is, if it is there, and every difference from `network` as a phrase."""

    def owned(self) -> list[OwnedLink]:
        """Return every device that bears our label and is not retired."""

    def owned_by(self, attachment: Attachment, name: str) -> OwnedLink | None:
        """Return an attachment's device. `name` is its usual one, tried before all are listed."""

    def holder(self, name: str) -> Attachment | None:
        """Return whose the device of this name is by its label; None: it bears none, or is not there."""

    def retire(self, owned: OwnedLink) -> None:
        """Take a device down and out of the way. It keeps its name until that is needed, or it is deleted."""

    def free_name(self, owned: OwnedLink, netns: int) -> None:
        """Take a device's other end down and give it another name, if it is in this namespace."""

    async def delete(self, owned: OwnedLink) -> None:
        """Delete a device at once, and with it the other end, wherever that is. It takes 16 to 35 ms."""

    def retire_unlabelled(self, name: str) -> bool:
        """Retire a device of this name that bears no label: Calico's, or of an ADD killed before it could label it."""

    def delete_retired(self) -> None:
        """Delete what was retired. It takes 15 to 35 ms, most of it waiting: for a thread."""


class FakePodDevices:
    """Devices that are entries of a dict, by the name of the host's end."""

    def __init__(self) -> None:
        self.made: dict[str, tuple[int, PodNetwork]] = {}
        self.pod_uids: dict[str, str] = {}
        self.unlabelled: set[str] = set()
        self.retired: list[str] = []
        self.freed: list[str] = []
        self.gone_namespace = False
        self.failure: Exception | None = None
        self._indices = count(7)

    async def make(self, network: PodNetwork, netns: int, pod_uid: str = "") -> VethPair:
        del netns
        if self.failure:
            raise self.failure
        if network.host_name in self.made:
            self.retired.append(network.host_name)
        self.made[network.host_name] = next(self._indices), network
        self.pod_uids[network.host_name] = pod_uid
        return self._pair(network.host_name)

    def inspect(self, network: PodNetwork, netns: int) -> tuple[VethPair | None, list[str]]:
        del netns
        name = network.host_name
        if name not in self.made:
            return None, [f"there is no device {name} on the host"]
        there = self.made[name][1]
        as_asked = replace(network, mac=there.mac)  # a MAC is not compared
        if there.attachment != network.attachment or self.gone_namespace:
            return None, [f"{name} leads to another container, or its namespace is gone"]
        return self._pair(name), [] if there == as_asked else [f"{name} differs"]

    def owned(self) -> list[OwnedLink]:
        return [
            OwnedLink(index, name, network.attachment, pod_uid=self.pod_uids[name])
            for name, (index, network) in self.made.items()
        ]

    def owned_by(self, attachment: Attachment, name: str) -> OwnedLink | None:
        del name
        return next((one for one in self.owned() if one.attachment == attachment), None)

    def holder(self, name: str) -> Attachment | None:
        return self.made[name][1].attachment if name in self.made else None

    def retire(self, owned: OwnedLink) -> None:
        del self.made[owned.name]
        self.retired.append(owned.name)

    def free_name(self, owned: OwnedLink, netns: int) -> None:
        del netns
        self.freed.append(owned.attachment.device)

    async def delete(self, owned: OwnedLink) -> None:
        del self.made[owned.name]

    def retire_unlabelled(self, name: str) -> bool:
        there = name in self.unlabelled
        self.unlabelled.discard(name)
        return there

    def delete_retired(self) -> None:
        self.retired.clear()

    def _pair(self, name: str) -> VethPair:
        index, network = self.made[name]
        return VethPair(index, HOST_MAC.hex(":"), network.mac.hex(":") or "02:00:00:00:00:01", network.mtu)
