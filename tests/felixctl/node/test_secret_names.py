"""Which names announce a secret."""

from __future__ import annotations

import pytest

from felixctl.node.secret_names import Hint, hint, refers


@pytest.mark.parametrize(
    "name",
    """
    password BGP_PASSWORD md5-password passwords dbPasswd passphrase clientSecret authToken X-Auth-Token private-key
    PrivateKey client-key-data aws_secret_access_key apiKey wpa-psk key-string presharedKey example.com/token
    tcp-md5-key enckey bindpw rootpw requirepass masterauth snmpCommunity
    """.split(),  # noqa: SIM905 - as text they take two lines
)
def test_these_need_no_sign(name: str) -> None:
    assert hint(name) is Hint.PLAIN


@pytest.mark.parametrize(
    "name",
    [
        "pass",
        "DB_PASS",
        "pwd",
        "pw",
        "creds",
        "md5",
        "Cookie",
        "BGP_MD5",
        "tcpmd5",
        "dbpass",
        "SSHPASS",
        "otp",
        "server.key",
        ".dockerconfigjson",
    ],
)
def test_these_need_one(name: str) -> None:
    assert hint(name) is Hint.ASSIGNED


@pytest.mark.parametrize(
    "name",
    """
    keepalive key keys monkey author authority passive bypass compass passed secretName tokenFile token-ttl
    secretKeyRef imagePullSecrets authorization-mode tokenExpirationSeconds design signal mode
    community communities sshpass publicKey TCPMD5NotFound 192.0.2.1 -
    """.split(),  # noqa: SIM905
)
def test_these_announce_none(name: str) -> None:
    assert hint(name) is None


def test_a_reference_says_where_a_secret_is() -> None:
    assert [
        name for name in ("secretKeyRef", "secretName", "valueFromRef", "name", "ref", "password") if refers(name)
    ] == [
        "secretKeyRef",
        "secretName",
        "valueFromRef",
    ]
