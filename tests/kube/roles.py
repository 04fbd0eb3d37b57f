"""Accounts of the test bed that have the roles of their name in manifests/roles.yaml and nothing else."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from datastore.errors import AlreadyExists
from datastore.kube.client import ApiClient
from tests.kube.bed import Bed

ROLES = Path(__file__).parents[2] / "manifests" / "roles.yaml"
NODE = "felix-py-node"
_PATH = "/apis/rbac.authorization.k8s.io/v1"


async def install_roles(bed: Bed) -> None:
    """Install the roles. Each ClusterRole is bound to the account that has its name, a Role to the agents'."""
    client = ApiClient(bed.access)
    try:
        for role in yaml.safe_load_all(ROLES.read_text()):
            with suppress(AlreadyExists):  # by an earlier test of this API server's
                await _install(client, role)
    finally:
        await client.close()


async def _install(client: ApiClient, role: dict[str, Any]) -> None:
    kind, metadata = role["kind"], role["metadata"]
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": f"{kind}Binding",
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": metadata["name"]},
        "subjects": [{"kind": "User", "name": metadata["name"] if kind == "ClusterRole" else NODE}],
    }
    within = f"{_PATH}/namespaces/{metadata['namespace']}" if "namespace" in metadata else _PATH
    for record in (role, binding):
        path = f"{within}/{record['kind'].lower()}s"
        await client.request(f"install {metadata['name']}", "POST", path, json.dumps(record).encode())
