"""docs/install.md: its files build, and what it has kubectl and helm do can be done."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import yaml

from tests.kube.helm import helm
from tests.kube.kubectl import MANIFESTS, kustomized, objects_of

TREE = MANIFESTS.parent
PAGE = (TREE / "docs" / "install.md").read_text()
VERSION = yaml.safe_load((TREE / "charts" / "felix-py" / "Chart.yaml").read_text())["appVersion"]
PRIVATE_MOUNTS, OWN, UNINSTALLATION = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [
    shlex.split(command, comments=True)
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for command in re.split(r"\n(?=\s*[a-z])", block.replace("\\\n", " ").strip())
]


def test_a_kustomization_of_ones_own_has_its_image_and_its_pool(tmp_path: Path) -> None:
    objects = built(OWN, tmp_path)
    containers = objects["DaemonSet", "felix-py-node"]["spec"]["template"]["spec"]["containers"]
    assert {each["image"] for each in containers} == {"registry.example/felix-py:0.1.0"}
    assert objects["ConfigMap", "felix-py-config"]["data"]["CALICO_IPV4POOL_CIDR"] == "10.65.0.0/16"


def test_where_mounts_are_private_a_patch_more_leaves_the_namespaces_without_propagation(tmp_path: Path) -> None:
    pod = built(OWN + PRIVATE_MOUNTS, tmp_path)["DaemonSet", "felix-py-node"]["spec"]["template"]["spec"]
    (agent,) = (each for each in pod["containers"] if each["name"] == "agent")
    changed = [mount for mount in agent["volumeMounts"] if "mountPropagation" in mount]
    assert [(mount["mountPath"], mount["mountPropagation"], mount["readOnly"]) for mount in changed] == [
        ("/var/run/netns", "None", True)
    ]


def test_what_uninstalls_has_the_same_image(tmp_path: Path) -> None:
    pod = built(UNINSTALLATION, tmp_path)["DaemonSet", "felix-py-uninstall"]["spec"]["template"]["spec"]
    assert {each["image"] for each in (*pod["initContainers"], *pod["containers"])} == {
        "registry.example/felix-py:0.1.0"
    }


def built(example: str, folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the objects of an example, put into a folder."""
    at_its_place = re.sub(r"(\.\./)?felix-py/manifests", _relative(folder), example, count=1)
    (folder / "kustomization.yaml").write_text(at_its_place)
    return objects_of(kustomized(folder))


def _relative(folder: Path) -> str:
    """Return the manifests as kustomize takes them, which follows no link out of a folder."""
    return "/".join(".." for _ in folder.resolve().parts[1:]) + str(MANIFESTS)


def test_the_commands_of_helm_render() -> None:
    install, upgrade = (
        rendered(command) for command in COMMANDS if command[:2] in (["helm", "install"], ["helm", "upgrade"])
    )
    assert install["ConfigMap", "felix-py-config"]["data"]["CALICO_IPV4POOL_CIDR"] == "10.65.0.0/16"
    containers = upgrade["DaemonSet", "felix-py-node"]["spec"]["template"]["spec"]["containers"]
    assert {each["image"] for each in containers} == {f"felix-py:{VERSION}"}
    (init,) = install["DaemonSet", "felix-py-node"]["spec"]["template"]["spec"]["initContainers"]
    assert init["image"] == f"registry.example/felix-py:{VERSION}"


def rendered(command: list[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what is installed by a command of helm, where nothing was installed before."""
    words = (word for word in command[2:] if word != "--reset-then-reuse-values")
    asked = [str(TREE / "charts" / "felix-py") if word.endswith("charts/felix-py") else word for word in words]
    return objects_of(helm("template", *asked))


def test_each_folder_that_is_applied_is_there() -> None:
    folders = re.findall(r"-k (?:felix-py/)?(manifests\S*?)[`,\s]", PAGE)
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
