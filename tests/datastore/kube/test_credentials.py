from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.kube.control_plane import ADMIN_TOKEN, kubeconfig

READ = "import sys; from datastore.kube.access import read_access; print(read_access(sys.argv[1]).headers())\n"


def python(code: str, *arguments: str, **environment: str) -> str:
    """Return what a program prints that nothing was imported in before."""
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout


def written(folder: Path, record: object) -> str:
    path = folder / "config"
    path.write_text(json.dumps(record))
    return str(path)


def test_who_reads_credentials_imports_nothing_that_reading_does_not_need(tmp_path: Path) -> None:
    unneeded = (
        "oauthlib",
        "requests_oauthlib",
        "requests",
        "pydantic",
        "kubernetes.client.api_client",
        "kubernetes",
        "urllib3",
    )
    code = f"{READ}print('loaded:', *(name for name in {unneeded} if name in sys.modules))"
    printed = python(code, written(tmp_path, kubeconfig("http://api.example")))
    assert printed == f"{{'authorization': 'Bearer {ADMIN_TOKEN}'}}\nloaded:\n"


def test_the_whole_package_can_be_imported_before_and_after(tmp_path: Path) -> None:
    path = written(tmp_path, kubeconfig("http://api.example"))
    whole = "from kubernetes import client, watch; assert client.CoreV1Api and watch.Watch\n"
    last = "import requests_oauthlib, oauthlib.oauth2; assert requests_oauthlib.OAuth2Session().token == {}"
    assert python(whole + READ + last, path) == python(READ + whole + last, path)


def test_a_name_and_a_password_are_shown_as_ever(tmp_path: Path) -> None:
    record: dict[str, Any] = dict(kubeconfig("http://api.example"))
    record["users"][0]["user"] = {"username": "ann", "password": "secret"}
    shown = base64.b64encode(b"ann:secret").decode()
    last = "import urllib3; assert urllib3.PoolManager and urllib3.util.retry.Retry(3).total == 3"
    assert python(READ + last, written(tmp_path, record)) == f"{{'authorization': 'Basic {shown}'}}\n"


@pytest.fixture
def issuer() -> Iterator[str]:
    """An OpenID Connect provider that has a new token for whoever has a refresh token."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({"token_endpoint": f"{url}/token"})

        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["content-length"])).decode()
            assert "refresh_token=old" in asked
            self._answer({"access_token": "a", "token_type": "bearer", "id_token": "renewed", "refresh_token": "next"})

        def _answer(self, record: object) -> None:
            body = json.dumps(record).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Answers)
    url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_token_of_openid_connect_is_renewed_as_ever(tmp_path: Path, issuer: str) -> None:
    parts: tuple[dict[str, object], ...] = ({"alg": "none"}, {"exp": 1}, {})
    expired = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    settings = {"idp-issuer-url": issuer, "client-id": "c", "client-secret": "s"}
    settings |= {"id-token": expired, "refresh-token": "old"}
    record: dict[str, Any] = dict(kubeconfig("http://api.example"))
    record["users"][0]["user"] = {"auth-provider": {"name": "oidc", "config": settings}}
    printed = python(READ, written(tmp_path, record), OAUTHLIB_INSECURE_TRANSPORT="1")
    assert printed == "{'authorization': 'Bearer renewed'}\n"
