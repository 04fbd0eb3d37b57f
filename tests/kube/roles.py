"""The rights that an installation gives to accounts: manifests/base/roles.yaml and accounts.yaml, and nothing else."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import yaml

from datastore.errors import AlreadyExists
from datastore.kube.client import ApiClient
from tests.kube.bed import Bed

BASE = Path(__file__).parents[2] / "manifests" / "base"
NODE, CONTROLLER, VIEWER, STATUS = "felix-py-node", "felix-py-controller", "felix-py-viewer", "felix-py-status"


async def install_roles(bed: Bed) -> None:
    """Install the accounts, the roles, and what gives these to those."""
    client = ApiClient(bed.access)
    try:
        for file in ("accounts.yaml", "roles.yaml"):
            for record in yaml.safe_load_all((BASE / file).read_text()):
                with suppress(AlreadyExists):  # by an earlier test of this API server's
                    path = _collection(record["apiVersion"], record["kind"], record["metadata"].get("namespace"))
                    await client.request(f"install {record['kind']}", "POST", path, json.dumps(record).encode())
    finally:
        await client.close()


def _collection(version: str, kind: str, namespace: str | None) -> str:
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"/{'apis' if '/' in version else 'api'}/{version}{within}/{kind.lower()}s"
