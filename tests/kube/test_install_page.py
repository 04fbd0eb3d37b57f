"""docs/install.md: its files build, and what it has kubectl and helm do can be done."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import yaml

from tests.kube.helm import helm
from tests.kube.kubectl import MANIFESTS, kustomized, objects_of

TREE = MANIFESTS.parent
PAGE = (TREE / "docs" / "install.md").read_text()
COMMANDS = [
    shlex.split(command, comments=True)
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for command in re.split(r"\n(?=\s*[a-z])", block.replace("\\\n", " ").strip())
]


def test_a_kustomization_of_ones_own_has_its_image_and_its_pool(tmp_path: Path) -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "felix-py").symlink_to(TREE)
    (tmp_path / "kustomization.yaml").write_text(example.replace("felix-py/manifests", _relative(tmp_path), 1))
    objects = objects_of(kustomized(tmp_path))
    containers = objects["DaemonSet", "felix-py-node"]["spec"]["template"]["spec"]["containers"]
    assert {each["image"] for each in containers} == {"registry.example/felix-py:0.1.0"}
    assert objects["ConfigMap", "felix-py-config"]["data"]["CALICO_IPV4POOL_CIDR"] == "10.65.0.0/16"


def _relative(folder: Path) -> str:
    """Return the manifests as kustomize takes them, which follows no link out of a folder."""
    return "/".join(".." for _ in folder.resolve().parts[1:]) + str(MANIFESTS)


def test_the_command_of_helm_renders() -> None:
    [install] = [command for command in COMMANDS if command[0] == "helm"]
    asked = [str(TREE / "charts" / "felix-py") if word.endswith("charts/felix-py") else word for word in install[2:]]
    found = objects_of(helm("template", *asked))
    assert found["ConfigMap", "felix-py-config"]["data"]["CALICO_IPV4POOL_CIDR"] == "10.65.0.0/16"


def test_each_folder_that_is_applied_is_there() -> None:
    folders = re.findall(r"-k (manifests\S*?)[`,\s]", PAGE)
    assert folders and all((TREE / folder / "kustomization.yaml").exists() for folder in folders)


def test_patches_are_json() -> None:
    patches = [word for command in COMMANDS for word in command if word.startswith("{")]
    assert len(patches) == 2 and all(isinstance(json.loads(patch), dict) for patch in patches)


def test_the_overlay_runs_where_calico_is_kept_away() -> None:
    [patch] = [json.loads(w) for c in COMMANDS for w in c if w.startswith("{") and "DoesNotExist" in w]
    affinity = patch["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    [term] = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    overlay = yaml.safe_load((MANIFESTS / "overlays" / "calico-coexist" / "node.yaml").read_text())
    assert term["matchExpressions"][0]["key"] in overlay["spec"]["template"]["spec"]["nodeSelector"]
