"""felix-py on a cluster: its own image, and `kubectl apply -k manifests/`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.progress import OnProgress
from tests.cluster.cluster import Cluster, cluster
from tests.cluster.image import NAME, archive
from tests.runtimes.machine import TREE

MANIFESTS = TREE / "manifests"
NAMESPACE, AGENTS = "kube-system", "daemonset/felix-py-node"
SETTLE_SECONDS = 300
TAG = "dev"


@contextmanager
def felix_cluster(
    folder: Path, nodes: int = 3, proxy_mode: str = "iptables", on_progress: OnProgress = lambda *_: None
) -> Iterator[Cluster]:
    """Yield a cluster whose nodes are Ready, by felix-py; end it, whatever happens. folder: as of `cluster`."""
    on_progress("the image is built", 0, 1)
    image = archive(TAG)
    on_progress("the image is built", 1, 1)
    with cluster(folder, nodes, proxy_mode, (image,), on_progress=on_progress) as made:
        apply(made, TAG)
        wait_until_ready(made)
        yield made


def wait_until_ready(made: Cluster) -> None:
    """Return when every node is Ready, and every agent and sidecar."""
    made.until("nodes are ready", len(made.names), lambda: made.kubectl.ready("nodes"))
    settle(made)


def apply(made: Cluster, tag: str, manifests: Path = MANIFESTS) -> Path:
    """Apply manifests with the image of this tag; return the folder that does, to delete them by."""
    folder = _kustomization(made.folder, tag, manifests)
    made.kubectl("apply", "--kustomize", str(folder))
    return folder


def settle(made: Cluster) -> None:
    """Return when every agent and sidecar is of the version last applied, and ready."""
    made.kubectl("rollout", "status", AGENTS, f"--namespace={NAMESPACE}", f"--timeout={SETTLE_SECONDS}s")


def _kustomization(folder: Path, tag: str, manifests: Path) -> Path:
    """Return a folder in which kustomize finds manifests of ours with the image of this tag."""
    place = folder / f"kustomization-{manifests.name}-{tag}"
    place.mkdir(exist_ok=True)
    wanted = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(manifests, place)],
        "images": [{"name": "felix-py", "newName": NAME, "newTag": tag}],
    }
    (place / "kustomization.yaml").write_text(json.dumps(wanted))
    return place
