"""What is said of the requests that a verb costs."""

from __future__ import annotations

import pytest

from bench.verb_requests import kind_of


@pytest.mark.parametrize(
    ("request_line", "kind"),
    [
        ("POST /apis/crd.projectcalico.org/v1/ipamhandles", "POST ipamhandles"),
        ("PUT /apis/crd.projectcalico.org/v1/ipamblocks/192-0-2-0-26", "PUT ipamblocks"),
        ("DELETE /apis/crd.projectcalico.org/v1/ipamhandles/a?propagationPolicy=Background", "DELETE ipamhandles"),
        ("PATCH /api/v1/namespaces/default/pods/one/status", "PATCH pods/status"),
        ("PATCH /api/v1/nodes/one/status", "PATCH nodes/status"),
        ("GET /api/v1/namespaces/default", "GET namespaces"),
    ],
)
def test_a_request_is_told_by_its_method_and_what_it_is_about(request_line: str, kind: str) -> None:
    assert kind_of(request_line) == kind
