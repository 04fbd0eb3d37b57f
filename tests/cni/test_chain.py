"""The reference plugins behind ours: which are there, what they speak, and that they work with our results."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cni.chain import PLUGINS, PluginChain, found_in, lacking, marks, versions_of
from cni.install import conflist
from cni.request import VERSIONS
from kernel.links import Devices
from kernel.netns import inside
from net.prefix import pack
from tests.cni.node import Sandbox, on_a_node, serving_node

REFERENCE = Path("/usr/lib/cni")


def plugin(folder: Path, name: str, answer: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\ncat > /dev/null\necho '{answer}'\n")
    path.chmod(0o755)


def speaks(*versions: str) -> str:
    return json.dumps({"cniVersion": "1.0.0", "supportedVersions": versions})


def test_without_the_plugins_the_list_is_ours_alone(tmp_path: Path) -> None:
    assert found_in(tmp_path) == PluginChain()
    assert [one["type"] for one in conflist(behind=PluginChain())["plugins"]] == ["felix"]


def test_plugins_that_are_there_stand_behind_ours_as_in_calicos_list(tmp_path: Path) -> None:
    plugin(tmp_path, "bandwidth", speaks(*VERSIONS))
    plugin(tmp_path, "portmap", speaks(*VERSIONS))
    behind = found_in(tmp_path)
    document = conflist(behind=behind)
    assert document["plugins"][1:] == [
        {"type": "portmap", "snat": True, "capabilities": {"portMappings": True}},
        {"type": "bandwidth", "capabilities": {"bandwidth": True}},
    ]
    assert document["cniVersions"] == list(VERSIONS)
    assert document["disableCheck"] is True and "disableCheck" not in conflist()


def test_the_list_has_only_versions_that_every_plugin_speaks(tmp_path: Path) -> None:
    plugin(tmp_path, "portmap", speaks("0.3.0", "0.3.1", "0.4.0", "1.0.0"))
    assert found_in(tmp_path) == PluginChain(("portmap",), ("0.3.1", "0.4.0", "1.0.0"))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("no", "for its versions"),
        ("{}", "it answers"),
        ("[" * 9999, "it answers"),
        (speaks("0.1.0"), "speaks 0.1.0 only"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, answer: str, said: str
) -> None:
    plugin(tmp_path, "portmap", answer)
    plugin(tmp_path, "bandwidth", speaks(*VERSIONS))
    assert found_in(tmp_path).plugins == ("bandwidth",)
    assert str(tmp_path / "portmap") in caplog.text and said in caplog.text


def test_a_plugin_that_is_not_executable_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "portmap").touch(mode=0o644)
    assert found_in(tmp_path) == PluginChain()
    assert "Permission denied" in caplog.text


def test_a_plugin_that_comes_goes_or_is_replaced_leaves_another_mark(tmp_path: Path) -> None:
    seen = [marks(tmp_path)]
    plugin(tmp_path, "portmap", speaks("1.0.0"))
    seen.append(marks(tmp_path))
    plugin(tmp_path, "portmap", speaks("1.0.0", "1.1.0"))
    seen.append(marks(tmp_path))
    assert len(set(seen)) == 3
    (tmp_path / "portmap").unlink()
    assert marks(tmp_path) == seen[0]


def test_plugins_of_a_list_that_somebody_gave_and_that_are_missing_are_named(tmp_path: Path) -> None:
    plugin(tmp_path, "portmap", speaks(*VERSIONS))
    document = {"plugins": [{"type": "felix"}, {"type": "portmap"}, {"type": "tuning"}]}
    assert lacking(document, tmp_path) == ["tuning"]


# With Debian's plugins, in real namespaces


def run(verb: str, pod: Sandbox, name: str, previous: Mapping[str, Any], wishes: Mapping[str, Any]) -> dict[str, Any]:
    """Run a plugin behind ours, as a runtime does."""
    network = {"cniVersion": "1.0.0", "name": "k8s-pod-network", **PLUGINS[name], "prevResult": previous}
    environment = pod.environment(verb) | {"PATH": os.environ["PATH"], "CNI_PATH": str(REFERENCE)}
    stdin = json.dumps(network | {"runtimeConfig": wishes}).encode()
    ended = subprocess.run([REFERENCE / name], input=stdin, env=environment, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stdout
    return json.loads(ended.stdout) if verb == "ADD" else {}


def shaping(device: str) -> str:
    command = ["tc", "qdisc", "show", "dev", device]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def served_once(pod: Sandbox) -> threading.Thread:
    """Let a pod answer one connection at its port 80."""
    with inside(pod.netns):
        listener = socket.create_server(("0.0.0.0", 80))

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            connection.sendall(b"pod")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


@on_a_node
async def test_a_host_port_leads_into_the_pod_and_goes_with_it(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        with closing(Devices()) as devices:
            devices.add_address(1, pack("192.0.2.1"), 32)
        pod = node.sandbox()
        wishes = {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}
        ours = await node.add(pod, cniVersion="1.0.0")
        assert run("ADD", pod, "portmap", ours, wishes)["ips"] == ours["ips"]
        server = served_once(pod)
        with socket.create_connection(("192.0.2.1", 8080), timeout=20) as connection:
            assert connection.recv(9) == b"pod"
        server.join()
        run("DEL", pod, "portmap", ours, wishes)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("192.0.2.1", 8080), timeout=20)
        await node.delete(pod)
        assert await node.holds_nothing()


@on_a_node
async def test_a_pods_bandwidth_is_limited_on_our_device(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox()
        ours = await node.add(pod, cniVersion="1.0.0")
        wishes = {"bandwidth": {"ingressRate": 1_000_000, "ingressBurst": 80_000}}
        after = run("ADD", pod, "bandwidth", ours, wishes)
        [device] = node.devices()
        assert "tbf" in shaping(device) and "1Mbit" in shaping(device)
        run("DEL", pod, "bandwidth", after, wishes)
        await node.delete(pod)
        assert await node.holds_nothing()


def test_debians_plugins_say_what_they_speak() -> None:
    assert {"0.3.1", "1.0.0"} <= versions_of(REFERENCE / "portmap")
