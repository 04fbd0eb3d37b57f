"""A pod is the same whether the API server sends it as JSON or in protobuf."""

from __future__ import annotations

import json
from typing import Any

import pytest

from datastore.kinds.pods import WorkloadEndpoint
from datastore.kube.client import MERGE_PATCH, ApiClient
from datastore.kube.list_message import MEDIA_TYPE, ListMessage
from datastore.kube.page import read_page
from datastore.kube.paths import CORE, collection, item
from datastore.kube.pod_message import PodMessage
from datastore.kube.pods import CONTAINER_ID, POD_IP, read_pod
from datastore.names import POD_IPS
from tests.kube.bed import Bed

SPEC = {"nodeName": "n1", "automountServiceAccountToken": False, "containers": [{"name": "c", "image": "i"}]}
METADATA = {
    "labels": {"app": "web", "tier": ""},
    "annotations": {POD_IP: "10.0.0.1/32", POD_IPS: "10.0.0.1/32,fd00::1/128", CONTAINER_ID: "c" * 64, "note": "ü"},
}
RUNNING = {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}
PODS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "bare": ({}, {}, {}),
    "full": (METADATA, {"serviceAccountName": "robot"}, RUNNING),
    "host": ({}, {"hostNetwork": True}, {"phase": "Running", "hostIP": "192.0.2.1"}),
    "over": ({}, {}, {"phase": "Succeeded", "podIP": "10.0.0.2", "podIPs": [{"ip": "10.0.0.2"}]}),
}
"""Metadata, spec and status of each."""


async def test_pods_in_protobuf_say_what_they_say_in_json(bed: Bed) -> None:
    await bed.make_namespace("default")
    client, path = ApiClient(bed.access), collection(WorkloadEndpoint, CORE, "default")
    for name, (metadata, spec, status) in PODS.items():
        record, where = {"metadata": {"name": name, **metadata}, "spec": SPEC | spec}, f"{path}/{name}"
        await client.request("create", "POST", path, json.dumps(record).encode())
        await client.request("patch", "PATCH", f"{where}/status", json.dumps({"status": status}).encode(), MERGE_PATCH)
    await client.request("delete", "DELETE", item(WorkloadEndpoint, CORE, "full", "default"), b"{}")
    texts = read_page((await client.request("list", "GET", path)).body).items
    messages = ListMessage().feed((await client.request("list", "GET", path, accept=MEDIA_TYPE)).body)
    await client.close()
    pods = [read_pod(text) for text in texts]
    assert [PodMessage(message).pod() for message in messages] == pods
    assert [PodMessage(message).outline() for message in messages] == [pod.outline for pod in pods]
    [full] = [pod for pod in pods if pod.metadata.name == "full"]
    assert full.metadata.deletion_timestamp and full.metadata.labels and full.addresses  # else little was compared


def test_what_is_no_message_is_an_error() -> None:
    with pytest.raises(ValueError, match="it is no pod"):
        PodMessage(b'{"kind":"Pod"}').outline()
