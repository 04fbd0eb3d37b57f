"""The shim, compiled once, run as a container runtime does: environment, standard input, standard output."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cni.build import build
from cni.errors import CniError
from cni.request import CniRequest, parse

CONTAINER = "c4719afa76fa448b5eca99e6736885846501d17956f2fcb2de5c916d723f3a87"


class Ended(NamedTuple):
    status: int
    stdout: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The one object on standard output; json refuses a second."""
        document = json.loads(self.stdout)
        assert isinstance(document, dict)
        return document

    @property
    def code(self) -> int:
        return int(self.document["code"])


def call(verb: str, **more: str) -> dict[str, str]:
    """Return the environment of one call."""
    return {
        "CNI_COMMAND": verb,
        "CNI_CONTAINERID": CONTAINER,
        "CNI_IFNAME": "eth0",
        "CNI_PATH": "/opt/cni/bin",
        "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-1",
    } | more


def configuration(version: str = "1.1.0", **more: Any) -> dict[str, Any]:
    return {"cniVersion": version, "name": "k8s-pod-network", "type": "felix"} | more


def add_request(**network: Any) -> CniRequest:
    """Return an ADD with more members in its network's configuration."""
    return parse(call("ADD", CNI_NETNS="/run/netns/a"), json.dumps(configuration(**network)).encode())


def refused(environment: dict[str, str], stdin: Any) -> CniError:
    """Return why a call is refused."""
    data = stdin if isinstance(stdin, bytes) else json.dumps(stdin).encode()
    with pytest.raises(CniError) as caught:
        parse(environment, data)
    return caught.value


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shim") / "felix"
    build(out)
    return out


Run = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(shim: Path, tmp_path: Path) -> Run:
    """Start the shim towards the socket `cni.sock` in this test's folder."""

    def run(environment: dict[str, str], **options: Any) -> subprocess.Popen[bytes]:
        environment = {
            "FELIX_CNI_SOCKET": str(tmp_path / "cni.sock"),
            "FELIX_STATE_DIR": str(tmp_path),
            "FELIX_CNI_TIMEOUT": "20",
        } | environment
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE} | options
        process: subprocess.Popen[bytes] = subprocess.Popen([shim], env=environment, **pipes)
        return process

    return run


def finish(process: subprocess.Popen[bytes], stdin: bytes | dict[str, Any]) -> Ended:
    data = stdin if isinstance(stdin, bytes) else json.dumps(stdin).encode()
    out, _ = process.communicate(data, timeout=60)
    return Ended(process.returncode, out)


def open_namespaces() -> int:
    """Count the descriptors of network namespaces that this process holds."""
    held = 0
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            held += os.readlink(f"/proc/self/fd/{number}").startswith("net:")
    return held
