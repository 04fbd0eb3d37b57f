"""Accounts of the test bed that have the roles of their name in manifests/roles.yaml and nothing else."""

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
    """Install the roles, and bind each to the account that has its name, in its namespace if it has one."""
    client = ApiClient(bed.access)
    try:
        for role in yaml.safe_load_all(ROLES.read_text()):
            kind, name = role["kind"], role["metadata"]["name"]
            namespace = role["metadata"].get("namespace")
            binding = {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": f"{kind}Binding",
                "metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
                "subjects": [{"kind": "User", "name": name}],
            }
            within = f"{_PATH}/namespaces/{namespace}" if namespace else _PATH
            with suppress(AlreadyExists):  # by an earlier test of this API server's
                roles, bindings = f"{within}/{kind.lower()}s", f"{within}/{kind.lower()}bindings"
                await client.request(f"install {name}", "POST", roles, json.dumps(role).encode())
                await client.request(f"bind {name}", "POST", bindings, json.dumps(binding).encode())
    finally:
        await client.close()
