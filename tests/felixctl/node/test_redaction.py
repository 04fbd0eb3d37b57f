"""No secret leaves a node in an archive."""

from __future__ import annotations

import pytest

from felixctl.node import redaction


def test_a_reference_to_a_secret_stays_and_the_secret_does_not() -> None:
    record = {
        "spec": {
            "password": {"secretKeyRef": {"name": "bgp", "key": "tor"}},
            "authToken": "abc",
            "peers": [{"md5": "abc", "asNumber": 65001}],
        },
        "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{…}"}},
    }
    assert redaction.record(record) == {
        "spec": {
            "password": {"secretKeyRef": {"name": "bgp", "key": "tor"}},
            "authToken": redaction.LEFT_OUT,
            "peers": [{"md5": redaction.LEFT_OUT, "asNumber": 65001}],
        },
        "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": redaction.LEFT_OUT}},
    }


@pytest.mark.parametrize(
    "text",
    [
        'md5-password "hunter2";',
        "password=hunter2",
        "BGP_PASSWORD: 'hunter2'",
        '{"token": "hunter2"}',
        "--secret hunter2",
        "sqlite://user:hunter2@host/x",
    ],
)
def test_no_secret_stays_in_a_text(text: str) -> None:
    assert "hunter2" not in redaction.text(text)
    assert redaction.text("10.65.1.0/26 via 192.0.2.2 dev eth0") == "10.65.1.0/26 via 192.0.2.2 dev eth0"
