"""What `make kube` shows comes whole from the process that holds the cluster to the one that prints it."""

from __future__ import annotations

import json

from felix_py.status.status_json import from_json, to_json
from tests.cluster.demo import ClusterReport, ServiceState
from tests.lab.state import lab_state


def test_the_report_is_the_same_after_its_way_as_json() -> None:
    report = ClusterReport(lab_state(), (ServiceState("web", "10.96.0.10", 12, 11),), "/build/kubeconfig")
    assert from_json(ClusterReport, json.loads(json.dumps(to_json(report)))) == report
