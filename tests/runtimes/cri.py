"""A client of the Container Runtime Interface, runtime.v1: what a kubelet says to containerd.

The messages are built from FIELDS when this is loaded, so nothing is generated; fields that it does not name are left
out on the wire.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from tests.runtimes.image import FOR_EVER, IMAGE

# message: field=number:type, where no type is a string, * a list, and map a map of strings.
FIELDS = """
Empty:
RuntimeCondition: type=1 status=2:bool reason=3 message=4
RuntimeStatus: conditions=1:*RuntimeCondition
StatusResponse: status=1:RuntimeStatus
NamespaceOption: network=1:int32
SandboxSecurityContext: namespace_options=1:NamespaceOption
LinuxPodSandboxConfig: security_context=2:SandboxSecurityContext
PortMapping: protocol=1:int32 container_port=2:int32 host_port=3:int32
PodSandboxMetadata: name=1 uid=2 namespace=3 attempt=4:uint32
PodSandboxConfig: metadata=1:PodSandboxMetadata hostname=2 log_directory=3 port_mappings=5:*PortMapping annotations=7:map linux=8:LinuxPodSandboxConfig
RunPodSandboxRequest: config=1:PodSandboxConfig
RunPodSandboxResponse: pod_sandbox_id=1
PodRequest: pod_sandbox_id=1
PodIP: ip=1
PodNetwork: ip=1 additional_ips=2:*PodIP
PodSandboxStatus: id=1 state=3:int32 network=5:PodNetwork
PodSandboxStatusResponse: status=1:PodSandboxStatus
PodSandbox: id=1
ListPodSandboxResponse: items=1:*PodSandbox
ImageSpec: image=1
ContainerMetadata: name=1
LinuxContainerConfig:
ContainerConfig: metadata=1:ContainerMetadata image=2:ImageSpec command=3:*string log_path=11 linux=15:LinuxContainerConfig
CreateContainerRequest: pod_sandbox_id=1 config=2:ContainerConfig sandbox_config=3:PodSandboxConfig
ContainerRequest: container_id=1
ExecSyncRequest: container_id=1 cmd=2:*string timeout=3:int64
ExecSyncResponse: stdout=1:bytes stderr=2:bytes exit_code=3:int32
"""  # noqa: E501 - one message to a line
CALLS = {
    "Status": ("Empty", "StatusResponse"),
    "RunPodSandbox": ("RunPodSandboxRequest", "RunPodSandboxResponse"),
    "StopPodSandbox": ("PodRequest", "Empty"),
    "RemovePodSandbox": ("PodRequest", "Empty"),
    "PodSandboxStatus": ("PodRequest", "PodSandboxStatusResponse"),
    "ListPodSandbox": ("Empty", "ListPodSandboxResponse"),
    "CreateContainer": ("CreateContainerRequest", "ContainerRequest"),
    "StartContainer": ("ContainerRequest", "Empty"),
    "ExecSync": ("ExecSyncRequest", "ExecSyncResponse"),
}
PACKAGE = "runtime.v1"
SECONDS = 60
FIELD = descriptor_pb2.FieldDescriptorProto


def _messages() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="cri.proto", package=PACKAGE, syntax="proto3")
    for line in FIELDS.split("\n")[1:-1]:
        name, _, fields = line.partition(":")
        message = file.message_type.add(name=name)
        for each in fields.split():
            _add_field(message, each)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        each.name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{each.name}"))
        for each in file.message_type
    }


def _add_field(message: Any, text: str) -> None:
    key, _, kind = text.partition(":")
    name, number = key.split("=")
    repeated = kind.startswith("*") or kind == "map"
    field = message.field.add(
        name=name, number=int(number), label=FIELD.LABEL_REPEATED if repeated else FIELD.LABEL_OPTIONAL
    )
    kind = kind.lstrip("*") or "string"
    if kind == "map":
        entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        for position, part in enumerate(("key", "value"), 1):
            entry.field.add(name=part, number=position, label=FIELD.LABEL_OPTIONAL, type=FIELD.TYPE_STRING)
        kind = f"{message.name}.{entry.name}"
    if kind.islower():
        field.type = getattr(FIELD, f"TYPE_{kind.upper()}")
    else:
        field.type, field.type_name = FIELD.TYPE_MESSAGE, f".{PACKAGE}.{kind}"


MESSAGES = _messages()


@dataclass(frozen=True, slots=True)
class PodSandbox:
    """A running pod: its sandbox, the first of its addresses, and its one container."""

    id: str
    address: str
    container: str


class Cri:
    """A runtime at a socket. Each call raises grpc.RpcError with the runtime's sentence if it refuses."""

    def __init__(self, socket: Path) -> None:
        self._channel = grpc.insecure_channel(f"unix://{socket}")

    def call(self, name: str, **fields: Any) -> Any:
        asked, answered = CALLS[name]
        call = self._channel.unary_unary(
            f"/{PACKAGE}.RuntimeService/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=MESSAGES[answered].FromString,
        )
        return call(json_format.ParseDict(fields, MESSAGES[asked]()), timeout=SECONDS)

    def run_pod(
        self,
        name: str,
        *,
        command: Sequence[str] = FOR_EVER,
        namespace: str = "default",
        annotations: Mapping[str, str] | None = None,
        ports: Sequence[tuple[int, int]] = (),
    ) -> PodSandbox:
        """Run a pod of one container. ports: of the host, and of the container that they lead to."""
        config = {
            "metadata": {"name": name, "namespace": namespace, "uid": str(uuid.uuid4())},
            "hostname": name[:63].rstrip("-."),
            "annotations": annotations or {},
            "log_directory": "/var/log",
            "port_mappings": [{"host_port": host, "container_port": container} for host, container in ports],
            "linux": {},
        }
        sandbox = self.call("RunPodSandbox", config=config).pod_sandbox_id
        container = self.call(
            "CreateContainer",
            pod_sandbox_id=sandbox,
            sandbox_config=config,
            config={"metadata": {"name": "c"}, "image": {"image": IMAGE}, "command": [*command], "log_path": "c.log"},
        ).container_id
        self.call("StartContainer", container_id=container)
        return PodSandbox(sandbox, self.address_of(sandbox), container)

    def address_of(self, sandbox: str) -> str:
        return str(self.call("PodSandboxStatus", pod_sandbox_id=sandbox).status.network.ip)

    def remove_pod(self, sandbox: str) -> None:
        self.call("StopPodSandbox", pod_sandbox_id=sandbox)
        self.call("RemovePodSandbox", pod_sandbox_id=sandbox)

    def sandboxes(self) -> list[str]:
        return [each.id for each in self.call("ListPodSandbox").items]

    def run_in(self, pod: PodSandbox, *command: str) -> tuple[int, str]:
        """Return the exit code and the output of a command in a pod's container."""
        ran = self.call("ExecSync", container_id=pod.container, cmd=[*command], timeout=SECONDS)
        return ran.exit_code, (ran.stdout + ran.stderr).decode()

    def network_trouble(self) -> str | None:
        """Return why the runtime does not take the node's network for ready, None if it does."""
        for condition in self.call("Status").status.conditions:
            if condition.type == "NetworkReady":
                return None if condition.status else f"{condition.reason}: {condition.message}"
        return "no condition NetworkReady"
