"""charts/felix-py, made from manifests/base and manifests/crds: `python -m tests.chart` writes it.

The chart with its default values is what `kubectl apply -k manifests/` installs. Each template is a file of the base in
which the places of VALUES are filled in from the chart's values, and these have what stood there.
"""

from __future__ import annotations

import json
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from felix_py.configuration.settings import variables
from tests import config_map
from tests.meanings import MEANINGS

TREE = Path(__file__).parents[1]
BASE, CRDS = TREE / "manifests" / "base", TREE / "manifests" / "crds" / "crds.yaml"
CHART = TREE / "charts" / "felix-py"
NO_OBJECTS = ("kustomization.yaml",)
OF_PODS = ("node.yaml", "controller.yaml")
HAND_WRITTEN = ("templates/NOTES.txt", "templates/namespace.yaml")

_HEAD = "Written by `python -m tests.chart`, from manifests/base."
_CHECKSUM = '{{ include (print $.Template.BasePath "/settings.yaml") . | sha256sum }}'
SETTINGS_MARK = "felix-py/settings"
"""The annotation by which pods are made anew when a setting changes: kustomize has nothing like it."""


class ChartError(Exception):
    """The base has changed, and the chart does not know how to follow."""


@dataclass(frozen=True)
class Place:
    """A text of the base's files, and what stands in its place in the chart. times: how often it is in a file."""

    file: str
    text: str
    template: str
    times: int = 1

    def filled(self, text: str) -> str:
        if text.count(self.text) != self.times:
            raise ChartError(f"manifests/base/{self.file}: {self.text!r} is there {text.count(self.text)} times")
        return text.replace(self.text, self.template)


_IMAGE = '"{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"'
_PULL = "{{ .Values.image.pullPolicy }}"

_PULL_SECRETS = """\
      {{- with .Values.imagePullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 6 }}
      {{- end }}
"""


def _places_of_pods(file: str, containers: int, *, annotated: bool = False) -> tuple[Place, ...]:
    """Return the places that the pods of every file have. annotated: whether they have annotations of their own."""
    annotations = "    metadata:\n      annotations:\n"
    unmarked, rest = (annotations, "") if annotated else ("    metadata:\n      labels:\n", "      labels:\n")
    marked = f"{annotations}        {SETTINGS_MARK}: {_CHECKSUM}\n{rest}"
    links = "      enableServiceLinks: false\n"
    return (
        Place(file, "image: felix-py\n", f"image: {_IMAGE}\n", containers),
        Place(file, "imagePullPolicy: IfNotPresent", f"imagePullPolicy: {_PULL}", containers),
        Place(file, unmarked, marked),
        Place(file, links, f"{links}{_PULL_SECRETS}"),
    )


PLACES = (
    Place("roles.yaml", "resourceNames: [bgp-secrets]", "resourceNames: {{ toJson .Values.bgpSecrets }}"),
    *_places_of_pods("node.yaml", 3, annotated=True),
    *_places_of_pods("controller.yaml", 1),
    Place("node.yaml", "mountPropagation: HostToContainer", "mountPropagation: {{ .Values.mountPropagation }}"),
    Place("controller.yaml", "  replicas: 1\n", "  replicas: {{ .Values.controller.replicas }}\n"),
    Place(
        "node.yaml",
        "      nodeSelector:\n        kubernetes.io/os: linux\n",
        "      nodeSelector: {{- toYaml .Values.nodeSelector | nindent 8 }}\n",
    ),
    Place(
        "node.yaml",
        "      tolerations:\n      - operator: Exists\n",
        "      tolerations: {{- toYaml .Values.tolerations | nindent 8 }}\n",
    ),
)


def files() -> dict[str, str]:
    """Return the files of the chart by their path in it. Raises ChartError."""
    templates = {f"templates/{path.name}": _template(path) for path in _of_the_base()}
    return {
        "Chart.yaml": _about(),
        "values.yaml": _values(),
        "values.schema.json": json.dumps(_schema(), indent=2) + "\n",
        "crds/crds.yaml": CRDS.read_text(),
        **templates,
    }


def _of_the_base() -> Iterator[Path]:
    return (path for path in sorted(BASE.glob("*.yaml")) if path.name not in NO_OBJECTS)


def _template(path: Path) -> str:
    text = path.read_text()
    if "{{" in text:
        raise ChartError(f"manifests/base/{path.name}: {{{{ begins an action of a template")
    if path == config_map.PATH:
        head, _, _ = text.partition("\ndata:\n")
        meant = "".join(f"{line}\n" for line in head.splitlines() if not line.startswith("#"))
        return f"# {_HEAD}\n{meant}data: {{{{- toYaml .Values.settings | nindent 2 }}}}\n"
    for place in PLACES:
        if place.file == path.name:
            text = place.filled(text)
    for container in _containers(path.name) if path.name in OF_PODS else ():
        text = _with_resources(text, container)
    return f"# {_HEAD}\n{text}"


def _with_resources(text: str, container: Mapping[str, Any]) -> str:
    """Return a template in which what a container asks for is a value."""
    before, name, after = text.partition(f"      - name: {container['name']}\n")
    block = textwrap.indent(yaml.safe_dump(container["resources"]), " " * 10)
    asked = f"        resources:\n{block}"
    start = after.find(asked)
    if not name or start < 0:
        raise ChartError(f"manifests/base: no resources of {container['name']}, or not in yaml's own layout")
    value = f"        resources: {{{{- toYaml .Values.resources.{container['name']} | nindent 10 }}}}\n"
    return f"{before}{name}{after[:start]}{value}{after[start + len(asked) :]}"


def _workload(file: str) -> dict[str, Any]:
    found: dict[str, Any] = next(yaml.safe_load_all((BASE / file).read_text()))["spec"]
    return found


def _containers(file: str) -> list[dict[str, Any]]:
    pod = _workload(file)["template"]["spec"]
    return [*pod.get("initContainers", ()), *pod["containers"]]


def _all_containers() -> list[dict[str, Any]]:
    return [container for file in OF_PODS for container in _containers(file)]


def _about() -> str:
    project = tomllib.loads((TREE / "pyproject.toml").read_text())["project"]
    about = {
        "apiVersion": "v2",
        "name": project["name"],
        "description": project["description"],
        "type": "application",
        "version": project["version"],
        "appVersion": project["version"],
        "kubeVersion": ">=1.31.0-0",
    }
    return f"# {_HEAD}\n{yaml.safe_dump(about, sort_keys=False, width=118)}"


def _values() -> str:
    pod = _workload("node.yaml")["template"]["spec"]
    usual = {container["name"]: container["resources"] for container in _all_containers()}
    replicas = _workload("controller.yaml")["replicas"]
    parts: tuple[tuple[str, dict[str, Any]], ...] = (
        (
            "The image of all parts of felix-py. Without a tag it is that of the chart's appVersion.",
            {"image": {"repository": "felix-py", "tag": ""}},
        ),
        (
            "Names of Secrets of kube-system for the image's registry, such as {name: registry}.",
            {"imagePullSecrets": []},
        ),
        ("The nodes that the agents run on.", {"nodeSelector": pod["nodeSelector"]}),
        ("All taints: a node is not ready before this runs.", {"tolerations": pod["tolerations"]}),
        (
            "None where the host's mounts are private: then `felixctl why` sees no pods that start after the agent.",
            {"mountPropagation": "HostToContainer"},
        ),
        ("How many controllers wait to act; one does.", {"controller": {"replicas": replicas}}),
        ("What each container asks for.", {"resources": usual}),
        ("The Secrets of kube-system that hold passwords of BGP sessions.", {"bgpSecrets": ["bgp-secrets"]}),
    )
    texts = [f"# {comment}\n{yaml.safe_dump(value, sort_keys=False)}" for comment, value in parts]
    texts[0] += "  pullPolicy: IfNotPresent\n"
    lines = "".join(f"{line}\n" for line in config_map.lines())
    settings = f'# Every setting of the agent, as text; "" stands for the default.\nsettings:\n{lines}'
    return f"# {_HEAD}\n\n" + "\n".join([*texts, settings])


def _schema() -> dict[str, Any]:
    text = {"type": "string"}
    tied = (*config_map.OF_THE_DAEMON_SET, *config_map.OF_THE_DEPLOYMENT)
    settings = {
        name: {
            **text,
            # Another value would be the program's alone, while probes, ports and mounts keep theirs.
            **({"const": config_map.GIVEN.get(name, "")} if name in tied else {}),
            "description": f"{MEANINGS[name]} Allowed: {allowed}.",
        }
        for name, allowed in variables().items()
        if name not in config_map.OF_THE_POD
    }
    return {
        "$schema": "https://json-schema.org/draft-07/schema#",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "global": {"type": "object"},
            "image": _object(
                repository={**text, "minLength": 1},
                tag=text,
                pullPolicy={"enum": ["Always", "IfNotPresent", "Never"]},
            ),
            "imagePullSecrets": {"type": "array", "items": _object(name={**text, "minLength": 1})},
            "nodeSelector": {"type": "object", "additionalProperties": text},
            "tolerations": {
                "type": "array",
                "items": _object(
                    key=text, operator=text, value=text, effect=text, tolerationSeconds={"type": "integer"}
                ),
            },
            "mountPropagation": {"enum": ["HostToContainer", "None"]},
            "controller": _object(replicas={"type": "integer", "minimum": 0}),
            "resources": _object(
                **{
                    container["name"]: _object(limits={"type": "object"}, requests={"type": "object"})
                    for container in _all_containers()
                }
            ),
            "bgpSecrets": {"type": "array", "items": text, "minItems": 1},
            "settings": _object(**settings),
        },
    }


def _object(**properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an object that has these properties and no others."""
    return {"type": "object", "additionalProperties": False, "properties": properties}


def main() -> None:
    """Write the chart, and remove what is no longer part of it."""
    wanted = files()
    for path in CHART.rglob("*"):
        name = str(path.relative_to(CHART))
        if path.is_file() and name not in wanted and name not in HAND_WRITTEN:
            path.unlink()
    for name, text in wanted.items():
        (CHART / name).parent.mkdir(parents=True, exist_ok=True)
        (CHART / name).write_text(text)


if __name__ == "__main__":
    main()
