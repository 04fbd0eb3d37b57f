"""Accounts of the test bed that have one of the roles in manifests/roles.yaml and nothing else."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import yaml

from datastore.errors import AlreadyExists
from datastore.kube.client import ApiClient
from tests.kube.bed import Bed

ROLES = Path(__file__).parents[2] / "manifests" / "roles.yaml"
_PATH = "/apis/rbac.authorization.k8s.io/v1"


async def install_roles(bed: Bed) -> None:
    """Install the roles, and bind each to the account that has its name."""
    client = ApiClient(bed.access)
    try:
        for role in yaml.safe_load_all(ROLES.read_text()):
            name = role["metadata"]["name"]
            binding = {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
                "subjects": [{"kind": "User", "name": name}],
            }
            with suppress(AlreadyExists):  # by an earlier test of this API server's
                await client.request(f"install {name}", "POST", f"{_PATH}/clusterroles", json.dumps(role).encode())
                bound = f"{_PATH}/clusterrolebindings"
                await client.request(f"bind {name}", "POST", bound, json.dumps(binding).encode())
    finally:
        await client.close()
