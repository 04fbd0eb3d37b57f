"""Access that is read plainly is what the package reads, and what only the package can judge is left to it."""

from __future__ import annotations

import json
import os
import ssl
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import yaml

from datastore.kube import plain_access as module
from datastore.kube.access import read_access
from datastore.kube.plain_access import plain_access
from tests.kube.control_plane import ADMIN_TOKEN, kubeconfig
from tests.kube.h2_server import make_certificate

SERVER = "https://api.example:6443"


@pytest.fixture(autouse=True)
def nothing_usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a kubeconfig, in no pod, behind no proxy."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name == "KUBECONFIG" or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(module, "IN_CLUSTER", tmp_path / "none")


def config(folder: Path, cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a configuration, with what is said more of its cluster, and with another user."""
    certificate = folder / "127.0.0.1.crt"
    found: dict[str, Any] = kubeconfig(SERVER, certificate if certificate.exists() else make_certificate(folder)[0])
    found["clusters"][0]["cluster"] |= cluster or {}
    if user is not None:
        found["users"][0]["user"] = user
    return found


def written(folder: Path, record: object, name: str = "config") -> str:
    path = folder / name
    path.write_text(record if isinstance(record, str) else json.dumps(record))
    return str(path)


def agreed(path: str | None, context: str | None = None) -> module.PlainAccess:
    """Return what is read, which is what the package reads."""
    found, full = plain_access(path, context), read_access(path, context)
    assert found is not None and full.tls is not None
    assert (found.host, found.port, found.path) == (full.host, full.port, full.path)
    assert found.server_name == (full.server_name or full.host)
    authorization = full.headers().get("authorization", "")
    assert (found.authorization or "").lower() == authorization.lower()
    for name in ("verify_mode", "check_hostname", "verify_flags"):
        assert getattr(found.tls, name) == getattr(full.tls, name)
    assert found.tls.get_ca_certs() == full.tls.get_ca_certs()
    return found


def test_a_file_with_a_token_is_read_as_json_or_yaml(tmp_path: Path) -> None:
    record = config(tmp_path)
    found = agreed(written(tmp_path, record))
    assert found.authorization == f"Bearer {ADMIN_TOKEN}"
    assert ADMIN_TOKEN not in f"{found} {found!r}" and "api.example" in repr(found)
    assert agreed(written(tmp_path, yaml.safe_dump(record)))[:3] == found[:3]


def test_the_usual_places_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".kube").mkdir()
    written(tmp_path, config(tmp_path, {"server": "https://own.example"}), ".kube/config")
    assert agreed(None).host == "own.example"
    monkeypatch.setenv("KUBECONFIG", written(tmp_path, config(tmp_path)))
    assert agreed(None).host == "api.example"


def test_a_context_chooses_among_clusters(tmp_path: Path) -> None:
    record = config(tmp_path)
    record["clusters"].append({"name": "c2", "cluster": {"server": "https://[fd00::1]/k/"}})
    record["contexts"].append({"name": "other", "context": {"cluster": "c2", "user": "admin"}})
    path = written(tmp_path, record)
    assert agreed(path, "bed").host == "api.example"
    assert agreed(path, "other")[:3] == ("fd00::1", 443, "/k")
    assert plain_access(path, "third") is None


def test_certificates_are_taken_from_files_and_from_the_configuration(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    data = {name: b64encode(path.read_bytes()).decode() for name, path in (("crt", certificate), ("key", key))}
    given = {"client-certificate-data": data["crt"], "client-key-data": data["key"]}
    files = {"client-certificate": certificate.name, "client-key": key.name}
    inside = {"certificate-authority-data": data["crt"], "certificate-authority": "none"}
    before = os.listdir("/proc/self/fd")
    for user in (given, files, files | given):
        assert agreed(written(tmp_path, config(tmp_path, inside, user))).authorization is None
    assert os.listdir("/proc/self/fd") == before


def test_who_does_not_want_the_server_verified_is_obeyed(tmp_path: Path) -> None:
    said = {"insecure-skip-tls-verify": True, "tls-server-name": "other.example"}
    found = agreed(written(tmp_path, config(tmp_path, said)))
    assert (found.tls.verify_mode, found.server_name) == (ssl.CERT_NONE, "other.example")


def test_in_a_pod_its_service_account_says_where_and_who(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_CLUSTER", tmp_path)
    (tmp_path / "token").write_text("first\n")
    (tmp_path / "ca.crt").write_bytes(make_certificate(tmp_path)[0].read_bytes())
    assert plain_access(None, None) is None
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    found = plain_access(None, None)
    assert found
    assert (found.host, found.port, found.path, found.server_name) == ("10.96.0.1", 443, "", "10.96.0.1")
    assert (found.authorization, len(found.tls.get_ca_certs())) == ("Bearer first", 1)


@pytest.mark.parametrize(
    ("cluster", "user"),
    [
        ({"server": "http://api.example"}, None),
        ({"server": "https://"}, None),
        ({"server": "https://a@api.example"}, None),
        ({"server": "https://api.example/a b"}, None),
        ({"server": 7}, None),
        ({"proxy-url": "http://proxy.example"}, None),
        ({"insecure-skip-tls-verify": "false"}, None),
        ({"certificate-authority": "/none"}, None),
        ({"certificate-authority-data": "?"}, None),
        ({"certificate-authority-data": ""}, None),
        ({}, {"exec": {"command": "login"}}),
        ({}, {"auth-provider": {"name": "oidc"}}),
        ({}, {"token": "a", "as": "root"}),
        ({}, {"tokenFile": "/token"}),
        ({}, {"username": "a", "password": "b"}),
        ({}, {"token": "a\r\nX: y"}),
        ({}, {"token": ""}),
        ({}, {"token": 7}),
        ({}, {"client-certificate": "127.0.0.1.crt"}),
        ({}, {"client-certificate": "127.0.0.1.crt", "client-key": "127.0.0.1.crt"}),
    ],
)
def test_what_says_anything_else_is_left_to_the_package(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any] | None
) -> None:
    assert plain_access(written(tmp_path, config(tmp_path, cluster, user)), None) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "a: [", '{"current-context": "x"}', '{"current-context": "bed"}'])
def test_a_file_that_says_nothing_usable_is_left_to_the_package(tmp_path: Path, text: str) -> None:
    assert plain_access(written(tmp_path, text), None) is None


def test_of_two_entries_of_a_name_the_package_has_to_choose(tmp_path: Path) -> None:
    record = config(tmp_path)
    record["users"] *= 2
    assert plain_access(written(tmp_path, record), None) is None


def test_several_files_and_none_are_left_to_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, config(tmp_path))
    monkeypatch.setenv("KUBECONFIG", f"{path}:{path}")
    assert plain_access(None, None) is None
    monkeypatch.delenv("KUBECONFIG")
    assert plain_access(None, None) is None


def test_who_names_a_proxy_is_told_that_it_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, config(tmp_path))
    monkeypatch.setenv("no_proxy", "api.example")
    assert plain_access(path, None)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    assert plain_access(path, None) is None
