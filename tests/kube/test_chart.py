"""charts/felix-py: by the real helm, it is what kustomize builds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import chart
from tests.kube.bed import Bed
from tests.kube.helm import helm
from tests.kube.kubectl import MANIFESTS, kubectl, kustomized, objects_of

RELEASE = ("felix-py", str(chart.CHART), "--namespace", "kube-system")
APP_VERSION = yaml.safe_load((chart.CHART / "Chart.yaml").read_text())["appVersion"]
AGENTS, CONTROLLER = ("DaemonSet", "felix-py-node"), ("Deployment", "felix-py-controller")


def rendered(*options: str) -> dict[tuple[str, str], dict[str, Any]]:
    return objects_of(helm("template", *RELEASE, "--include-crds", *options))


def pod_of(objects: dict[tuple[str, str], dict[str, Any]], owner: tuple[str, str] = AGENTS) -> dict[str, Any]:
    found: dict[str, Any] = objects[owner]["spec"]["template"]
    return found


def containers_of(objects: dict[tuple[str, str], dict[str, Any]], owner: tuple[str, str]) -> list[dict[str, Any]]:
    spec = pod_of(objects, owner)["spec"]
    return [*spec.get("initContainers", ()), *spec["containers"]]


def test_the_chart_is_as_the_base_makes_it() -> None:
    there = {str(path.relative_to(chart.CHART)): path.read_text() for path in chart.CHART.rglob("*") if path.is_file()}
    assert {name: there.get(name) for name in chart.files()} == chart.files(), "run: .venv/bin/python -m tests.chart"
    assert there.keys() - chart.files().keys() == {*chart.HAND_WRITTEN}


def test_helm_finds_no_fault_with_it() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", "--namespace", "kube-system", str(chart.CHART))


def test_with_its_default_values_it_is_what_kustomize_builds() -> None:
    found, built = rendered(), objects_of(kustomized(MANIFESTS))
    for owner in (AGENTS, CONTROLLER):
        del pod_of(found, owner)["metadata"]["annotations"][chart.SETTINGS_MARK]
        for container in containers_of(found, owner):
            name, _, tag = container["image"].partition(":")
            assert tag == APP_VERSION, "never :latest, of which a node may have any"
            container["image"] = name
    del pod_of(found, CONTROLLER)["metadata"]["annotations"]
    assert found == built


def test_values_get_where_they_belong(tmp_path: Path) -> None:
    values = {
        "image": {"repository": "registry.example/felix-py", "tag": "1.2.3", "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "registry"}],
        "nodeSelector": {"felix-py/node": "true"},
        "tolerations": [],
        "mountPropagation": "None",
        "controller": {"replicas": 2},
        "resources": {"agent": {"limits": {"memory": "1Gi"}}, "controller": {"limits": {"memory": "2Gi"}}},
        "bgpSecrets": ["rack-a", "rack-b"],
        "settings": {"FELIX_MTU": "1400"},
    }
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    found = rendered("--values", str(tmp_path / "values.yaml"))
    pod = pod_of(found)["spec"]
    containers = [*containers_of(found, AGENTS), *containers_of(found, CONTROLLER)]
    assert {each["image"] for each in containers} == {"registry.example/felix-py:1.2.3"}
    assert {each["imagePullPolicy"] for each in containers} == {"Always"}
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert (pod["nodeSelector"]["felix-py/node"], pod["tolerations"]) == ("true", [])
    (agent,) = (each for each in pod["containers"] if each["name"] == "agent")
    assert {each.get("mountPropagation") for each in agent["volumeMounts"]} == {"None", None}
    assert [each["resources"].get("limits") for each in pod["containers"]] == [{"memory": "1Gi"}, None]
    controller = found[CONTROLLER]["spec"]
    assert controller["replicas"] == 2
    assert controller["template"]["spec"]["containers"][0]["resources"]["limits"] == {"memory": "2Gi"}
    assert found["Role", "felix-py-bgp-passwords"]["rules"][0]["resourceNames"] == ["rack-a", "rack-b"]
    assert found["ConfigMap", "felix-py-config"]["data"]["FELIX_MTU"] == "1400"


def test_another_setting_makes_the_pods_anew() -> None:
    marks = [
        pod_of(rendered(*option))["metadata"]["annotations"] for option in ((), ("--set", "settings.IP6=autodetect"))
    ]
    assert marks[0] != marks[1]


@pytest.mark.parametrize(
    "option",
    [
        *(
            "settings.FELIX_MTUU=1",
            "settings.FELIX_MTU=1400",
            "imagePullPolicy=Always",
            "settings.FELIX_RUN_DIR=/run/x",
        ),
        *("imagePullSecrets[0].nme=registry", "tolerations[0].keys=a", "resources.agent.limit.memory=1Gi"),
        *("imagePullPolicy=Always", "image.name=felix", "controller.replica=2", "mountPropagation=Bidirectional"),
    ],
)
def test_a_value_that_would_have_no_effect_is_refused(option: str) -> None:
    with pytest.raises(AssertionError, match="don't meet the specifications of the schema"):
        rendered("--set", option)


@pytest.mark.parametrize("options", [(), ("--namespace", "networking")])
def test_another_namespace_than_its_manifests_name_is_refused_in_one_sentence(options: tuple[str, ...]) -> None:
    with pytest.raises(AssertionError, match="felix-py runs in the namespace kube-system, and not in") as refused:
        helm("template", "felix-py", str(chart.CHART), *options)
    assert "install it with --namespace kube-system" in str(refused.value)


def test_the_api_server_takes_it(started_bed: Bed) -> None:
    text = helm("template", *RELEASE)
    kubectl(started_bed, "apply", "--server-side", "--validate=strict", "--dry-run=server", "-f", "-", text=text)


def test_definitions_that_kubectl_has_applied_are_no_conflict_for_helm(started_bed: Bed) -> None:
    """helm applies those of its chart as the manager `helm` when it installs: what is there is to be the same."""
    definitions = str(chart.CRDS)
    kubectl(started_bed, "apply", "-f", definitions)
    kubectl(started_bed, "apply", "--server-side", "--field-manager=helm", "-f", definitions)
