"""What runs on a cluster of the tests, as Kubernetes writes it. Pure."""

from __future__ import annotations

from typing import Any

from tests.runtimes.image import IMAGE

Record = dict[str, Any]

_SERVE = "echo $HOSTNAME >/tmp/index.html; exec httpd -f -p 80 -h /tmp"
"""A web server whose page is the name of its pod."""


def deployment(name: str, replicas: int, **spec: Any) -> Record:
    """Return pods that serve their own name by HTTP. spec: what else a pod's has."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(name),
        "spec": {"replicas": replicas, "selector": _selector(name), "template": _template(name, **spec)},
    }


def daemon_set(name: str, **spec: Any) -> Record:
    """Return one such pod on each node."""
    made = deployment(name, 1, **spec)
    del made["spec"]["replicas"]
    return {**made, "kind": "DaemonSet"}


def stateful_set(name: str) -> Record:
    """Return one pod, NAME-0, that is made anew under the same name."""
    made = deployment(name, 1)
    return {**made, "kind": "StatefulSet", "spec": {**made["spec"], "serviceName": name}}


def service(name: str, **spec: Any) -> Record:
    """Return the Service of a deployment's pods."""
    ports = [{"name": "http", "port": 80}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(name),
        "spec": {"selector": {"app": name}, "ports": ports, **spec},
    }


def container(command: str = _SERVE, **more: Any) -> Record:
    return {"name": "c", "image": IMAGE, "imagePullPolicy": "Never", "command": ["/bin/sh", "-ec", command], **more}


def _metadata(name: str) -> Record:
    return {"name": name, "namespace": "default", "labels": {"app": name}}


def _selector(name: str) -> Record:
    return {"matchLabels": {"app": name}}


def _template(name: str, **spec: Any) -> Record:
    wanted = {"containers": [container()], "terminationGracePeriodSeconds": 0, **spec}
    return {"metadata": {"labels": {"app": name}}, "spec": wanted}
