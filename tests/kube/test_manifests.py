"""What is in manifests/ builds, and a real API server takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bgp import health
from felix_py.configuration.settings import settings_from, variables
from felix_py.packet_path.kernel_facts import NAMESPACES
from tests.config_map import OF_THE_DAEMON_SET, OF_THE_DEPLOYMENT, OF_THE_POD
from tests.kube.bed import Bed
from tests.kube.kubectl import MANIFESTS, kubectl, kustomized, objects_of

NODE, CONTROLLER = ("DaemonSet", "felix-py-node"), ("Deployment", "felix-py-controller")
OVERLAYS = sorted(path.parent for path in MANIFESTS.glob("overlays/*/kustomization.yaml"))
COEXIST, UNINSTALL = MANIFESTS / "overlays" / "calico-coexist", MANIFESTS / "uninstall"


@pytest.fixture(scope="module")
def installed() -> dict[tuple[str, str], dict[str, Any]]:
    return objects_of(kustomized(MANIFESTS))


def pod_of(objects: dict[tuple[str, str], dict[str, Any]], owner: tuple[str, str] = NODE) -> dict[str, Any]:
    found: dict[str, Any] = objects[owner]["spec"]["template"]["spec"]
    return found


def containers(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in (*pod.get("initContainers", ()), *pod["containers"])}


def settings_of(objects: dict[tuple[str, str], dict[str, Any]]) -> dict[str, str]:
    found: dict[str, str] = objects["ConfigMap", "felix-py-config"]["data"]
    return found


@pytest.mark.parametrize("folder", [MANIFESTS, *OVERLAYS, UNINSTALL], ids=lambda folder: folder.name)
def test_the_api_server_takes_what_a_folder_installs(started_bed: Bed, folder: Path) -> None:
    strictly = ("--server-side", "--force-conflicts", "--validate=strict", "--dry-run=server")
    said = kubectl(started_bed, "apply", *strictly, "-k", str(folder))
    assert "daemonset.apps/felix-py-" in said
    assert ("deployment.apps/felix-py-controller" in said) is (folder not in (COEXIST, UNINSTALL))


def test_the_settings_are_all_there_and_allowed(installed: dict[tuple[str, str], dict[str, Any]]) -> None:
    given = settings_of(installed)
    assert given.keys() | set(OF_THE_POD) == variables().keys()
    settings = settings_from({**given, "NODENAME": "n1"})
    assert (settings.datastore, settings.notices) == ("kubernetes://", ())


def test_mounts_ports_and_probes_are_where_the_settings_say(installed: dict[tuple[str, str], dict[str, Any]]) -> None:
    settings = settings_from(settings_of(installed))
    pod = pod_of(installed)
    agent = containers(pod)["agent"]
    mounts = {mount["mountPath"] for mount in agent["volumeMounts"]}
    folders = (
        settings.run_dir,
        settings.state_dir,
        settings.cni_conf_dir,
        settings.cni_bin_dir,
        settings.proc_sys / "net",
    )
    files = (settings.nodename_file, settings.mtu_file)
    assert {*map(str, folders), *(str(file.parent) for file in files)} <= mounts
    probes = [agent[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")]
    assert {(probe["host"], probe["port"]) for probe in probes} == {(settings.health_host, settings.health_port)}
    said = installed[NODE]["spec"]["template"]["metadata"]["annotations"]["felix-py/status-port"]
    assert said == str(settings.status_port)
    assert len(folders) + len(files) + 3 == len(OF_THE_DAEMON_SET)


def test_the_controllers_probes_are_where_the_settings_say(installed: dict[tuple[str, str], dict[str, Any]]) -> None:
    controller = containers(pod_of(installed, CONTROLLER))["controller"]
    ports = {controller[f"{name}Probe"]["httpGet"]["port"] for name in ("startup", "liveness", "readiness")}
    assert ports == {settings_from(settings_of(installed)).controller_port}
    assert {"FELIX_CONTROLLERHOST", "NAMESPACE"} <= {each["name"] for each in controller["env"]}
    assert len(OF_THE_DEPLOYMENT) == 2


def test_no_port_of_the_host_is_declared_for_which_a_users_pod_would_be_evicted(
    installed: dict[tuple[str, str], dict[str, Any]],
) -> None:
    for owner in (NODE, CONTROLLER):
        pod = pod_of(installed, owner)
        assert pod["hostNetwork"]
        assert not [name for name, container in containers(pod).items() if "ports" in container]


def test_no_two_controllers_are_on_one_node(installed: dict[tuple[str, str], dict[str, Any]]) -> None:
    [rule] = pod_of(installed, CONTROLLER)["affinity"]["podAntiAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    labels = installed[CONTROLLER]["spec"]["template"]["metadata"]["labels"]
    assert rule["topologyKey"] == "kubernetes.io/hostname"
    assert rule["labelSelector"]["matchLabels"].items() <= labels.items()


def test_the_next_pod_is_replaced_when_the_one_before_has_stayed_ready(
    installed: dict[tuple[str, str], dict[str, Any]],
) -> None:
    assert [installed[owner]["spec"]["minReadySeconds"] for owner in (NODE, CONTROLLER)] == [5, 5]


def test_the_controller_is_nobody_and_has_nothing_of_the_host_but_its_network(
    installed: dict[tuple[str, str], dict[str, Any]],
) -> None:
    pod = pod_of(installed, CONTROLLER)
    assert pod["securityContext"]["runAsNonRoot"]
    security = containers(pod)["controller"]["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
    assert [list(each) for each in pod["volumes"]] == [["name", "projected"]]


def test_the_sidecar_is_probed_where_it_is_told_to_answer(installed: dict[tuple[str, str], dict[str, Any]]) -> None:
    sidecar = containers(pod_of(installed))["sidecar"]
    for probe in ("startupProbe", "livenessProbe"):
        assert f"--health-port={sidecar[probe]['httpGet']['port']}" in sidecar["command"]
        assert sidecar[probe]["httpGet"]["host"] == health.HOST


def test_what_is_mounted_of_the_host_is_at_the_same_path(installed: dict[tuple[str, str], dict[str, Any]]) -> None:
    pod = pod_of(installed)
    host = {each["name"]: each["hostPath"]["path"] for each in pod["volumes"] if "hostPath" in each}
    for container in containers(pod).values():
        for mount in container["volumeMounts"]:
            if mount["name"] != "sysctls":  # the container has a /proc/sys of its own
                assert host.get(mount["name"], mount["mountPath"]) == mount["mountPath"], container["name"]


def test_the_sidecar_sees_its_own_folder_alone(installed: dict[tuple[str, str], dict[str, Any]]) -> None:
    mounts = containers(pod_of(installed))["sidecar"]["volumeMounts"]
    assert [mount["mountPath"] for mount in mounts] == ["/run/felix/bgp", "/tmp"]


def test_the_sidecar_is_not_root_and_all_are_in_its_group(installed: dict[tuple[str, str], dict[str, Any]]) -> None:
    pod = pod_of(installed)
    security = containers(pod)["sidecar"]["securityContext"]
    assert security["runAsNonRoot"] and security["runAsUser"]
    group = security["runAsGroup"]
    assert group in pod["securityContext"]["supplementalGroups"]
    install = containers(pod)["install"]
    assert f"--group={group}" in install["command"]
    [shared] = [word.partition("=")[2] for word in install["command"] if word.startswith("--shared-folder=")]
    for name in ("install", "sidecar"):
        assert shared in {mount["mountPath"] for mount in containers(pod)[name]["volumeMounts"]}


def test_uninstalling_sees_of_the_host_what_it_removes(installed: dict[tuple[str, str], dict[str, Any]]) -> None:
    uninstall = pod_of(objects_of(kustomized(UNINSTALL)), ("DaemonSet", "felix-py-uninstall"))
    removed = {volume["hostPath"]["path"] for volume in uninstall["volumes"]}
    of_agents = {each["hostPath"]["path"] for each in pod_of(installed)["volumes"] if "hostPath" in each}
    assert removed == of_agents - {"/proc/sys/net", "/run/felix/bgp", str(NAMESPACES)}


def test_the_agent_alone_sees_the_namespaces_of_pods_and_those_that_are_named_later(
    installed: dict[tuple[str, str], dict[str, Any]],
) -> None:
    pod = pod_of(installed)
    mounts = [
        (name, mount)
        for name, container in containers(pod).items()
        for mount in container["volumeMounts"]
        if mount["mountPath"] == str(NAMESPACES)
    ]
    ((name, mount),) = mounts
    assert (name, mount["readOnly"], mount["mountPropagation"]) == ("agent", True, "HostToContainer")
    (volume,) = (each for each in pod["volumes"] if each["name"] == mount["name"])
    assert volume["hostPath"]["type"] == "DirectoryOrCreate", "before the first pod since boot there is none"


def test_no_container_is_privileged_and_the_agent_alone_has_a_token(
    installed: dict[tuple[str, str], dict[str, Any]],
) -> None:
    pod = pod_of(installed)
    assert pod["automountServiceAccountToken"] is False
    for name, container in containers(pod).items():
        security = container["securityContext"]
        assert security["capabilities"]["drop"] == ["ALL"], name
        assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"], name
        assert not security.get("privileged"), name
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        assert ("api-access" in mounts) is (name == "agent"), name


def test_each_account_of_a_binding_and_of_a_pod_is_there(installed: dict[tuple[str, str], dict[str, Any]]) -> None:
    named = {pod_of(installed, owner)["serviceAccountName"] for owner in (NODE, CONTROLLER)}
    for (kind, _), record in installed.items():
        if kind.endswith("Binding"):
            named |= {subject["name"] for subject in record["subjects"]}
            assert (record["roleRef"]["kind"], record["roleRef"]["name"]) in installed
    assert named == {name for kind, name in installed if kind == "ServiceAccount"}


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("ipip", {"CALICO_IPV4POOL_IPIP": "Always"}),
        ("cross-subnet", {"CALICO_IPV4POOL_IPIP": "CrossSubnet"}),
        ("dual-stack", {"IP6": "autodetect", "CALICO_IPV6POOL_NAT_OUTGOING": "true"}),
        ("calico-coexist", {"NO_DEFAULT_POOLS": "true"}),
    ],
)
def test_an_overlay_changes_these_settings_alone(
    installed: dict[tuple[str, str], dict[str, Any]], name: str, changed: dict[str, str]
) -> None:
    found = settings_of(objects_of(kustomized(MANIFESTS / "overlays" / name)))
    assert found == settings_of(installed) | changed
    assert settings_from(found).notices == ()


def test_there_is_a_test_of_each_overlay() -> None:
    assert [folder.name for folder in OVERLAYS] == ["calico-coexist", "cross-subnet", "dual-stack", "ipip"]


def test_beside_calico_agents_run_where_they_are_asked_to_and_write_nothing_of_calicos() -> None:
    objects = objects_of(kustomized(COEXIST))
    assert pod_of(objects)["nodeSelector"] == {"kubernetes.io/os": "linux", "felix-py/node": "true"}
    assert "CustomResourceDefinition" not in {kind for kind, _ in objects}
    assert not [name for _, name in objects if name == "felix-py-controller"]
    calicos = {"clusterinformations", "ippools"}
    roles = {each["roleRef"]["name"] for (kind, _), each in objects.items() if kind == "ClusterRoleBinding"}
    assert roles == {"felix-py-node", "felix-py-status", "felix-py-viewer"}
    for rule in objects["ClusterRole", "felix-py-node"]["rules"]:
        assert not calicos & {*rule["resources"]} or {*rule["verbs"]} == {"get", "list", "watch"}


def test_calicos_network_is_set_aside_on_a_node_that_is_taken_over() -> None:
    names = [container["name"] for container in pod_of(objects_of(kustomized(COEXIST)))["initContainers"]]
    assert names == ["set-calico-aside", "install"]


def test_monitoring_is_a_folder_of_its_own_and_has_the_dashboard_in_a_config_map() -> None:
    made = objects_of(kustomized(MANIFESTS / "monitoring"))
    assert {kind for kind, _ in made} == {"ConfigMap", "PrometheusRule", "Service", "ServiceMonitor"}
    dashboard = made["ConfigMap", "felix-py-dashboard"]["data"]["felix-py.json"]
    assert dashboard == (MANIFESTS / "monitoring" / "felix-py.json").read_text()
