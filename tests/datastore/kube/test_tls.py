"""What connections are made with; tests/datastore/kube/test_access.py and test_http2.py make some."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from datastore.kube.tls import client_tls
from tests.kube.h2_server import make_certificate


def test_a_server_is_verified_unless_it_is_said_otherwise(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    verified = client_tls("h2", authorities=str(certificate), certificate=str(certificate), key=str(key))
    assert (verified.verify_mode, verified.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(verified.get_ca_certs()) == 1
    assert verified.get_ca_certs() == client_tls("h2", authorities_text=certificate.read_text()).get_ca_certs()
    trusting = client_tls("h2", verify=False)
    assert (trusting.verify_mode, trusting.check_hostname) == (ssl.CERT_NONE, False)


def test_a_certificate_without_an_authoritys_key_identifier_is_taken(tmp_path: Path) -> None:
    certificate, _ = make_certificate(tmp_path)
    assert not client_tls("h2", authorities=str(certificate)).verify_flags & ssl.VERIFY_X509_STRICT


def test_what_is_no_certificate_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        client_tls("h2", authorities=str(tmp_path / "none"))
    (tmp_path / "empty").write_text("")
    with pytest.raises(ssl.SSLError):
        client_tls("h2", authorities=str(tmp_path / "empty"))
