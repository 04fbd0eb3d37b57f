from __future__ import annotations

import json
import ssl
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from datastore.errors import Invalid, Unavailable
from datastore.kube import access
from datastore.kube.access import read_access
from datastore.kube.client import ApiClient
from datastore.kube.credentials import readers
from tests.kube.bed import Bed
from tests.kube.control_plane import ADMIN_TOKEN, kubeconfig
from tests.kube.h2_server import Request, make_certificate, server_tls, serving


def written(folder: Path, record: object) -> str:
    path = folder / "config"
    path.write_text(record if isinstance(record, str) else json.dumps(record))
    return str(path)


def test_a_kubeconfig_says_where_and_who(tmp_path: Path) -> None:
    access = read_access(written(tmp_path, kubeconfig("http://[fd00::1]:8001/k/")))
    assert (access.host, access.port, access.path, access.tls) == ("fd00::1", 8001, "/k", None)
    assert access.authority == "[fd00::1]:8001"
    assert access.headers() == {"authorization": f"Bearer {ADMIN_TOKEN}"}


def test_the_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", written(tmp_path, kubeconfig("http://api.example:80")))
    assert read_access().host == "api.example"


def test_a_context_chooses_among_clusters(tmp_path: Path) -> None:
    record = kubeconfig("http://one.example")
    record["clusters"] = [*list(record["clusters"]), {"name": "c2", "cluster": {"server": "http://two.example"}}]  # type: ignore[call-overload]
    record["contexts"] = [*list(record["contexts"]), {"name": "other", "context": {"cluster": "c2", "user": "admin"}}]  # type: ignore[call-overload]
    path = written(tmp_path, record)
    assert read_access(path).host == "one.example"
    assert read_access(path, "other").host == "two.example"
    with pytest.raises(Invalid, match=r'there is no context "nowhere": it has .*, other'):
        read_access(path, "nowhere")


@pytest.mark.parametrize("text", ["", "{", "[]", "a: b", '{"current-context": "x"}'])
def test_a_file_that_says_nothing_usable_is_refused_with_a_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(Invalid, match="read how to reach the Kubernetes API"):
        read_access(written(tmp_path, text))


def test_a_file_that_is_not_there_is_refused_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Invalid, match="none: there is no such file; name a kubeconfig by KUBECONFIG, or in the"):
        read_access(str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(Invalid, match=r"KUBECONFIG is not set, there is no .*/\.kube/config, and this is no pod"):
        read_access()


def test_a_missing_certificate_is_tried_again_later(tmp_path: Path) -> None:
    with pytest.raises((Unavailable, Invalid), match=r"certificate|does not exist"):
        read_access(written(tmp_path, kubeconfig("https://api.example", tmp_path / "none.crt")))


def test_a_server_is_verified_and_offered_http2_only(bed: Bed) -> None:
    access = bed.access()
    assert access.tls is not None
    assert access.tls.verify_mode is ssl.CERT_REQUIRED and access.tls.check_hostname


@pytest.fixture
def in_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bed: Bed) -> Path:
    """The folder of a pod's service account, in a process whose user has no kubeconfig."""
    account = tmp_path / "account"
    account.mkdir()
    (account / "token").write_text("first\n")
    (account / "ca.crt").write_bytes(bed.control_plane.certificate.read_bytes())
    monkeypatch.setattr(access, "IN_CLUSTER", account)
    in_cluster = readers().incluster_config
    monkeypatch.setattr(in_cluster, "SERVICE_TOKEN_FILENAME", str(account / "token"))
    monkeypatch.setattr(in_cluster, "SERVICE_CERT_FILENAME", str(account / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", bed.control_plane.url.rpartition(":")[2])
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return account


def test_in_a_pod_its_service_account_says_where_and_who(in_a_pod: Path) -> None:
    found = read_access()
    assert (found.host, found.headers()) == ("127.0.0.1", {"authorization": "bearer first"})


def test_a_users_own_kubeconfig_comes_before_the_service_account(in_a_pod: Path) -> None:
    own = in_a_pod.parent / ".kube"
    own.mkdir()
    (own / "config").write_text(json.dumps(kubeconfig("http://own.example")))
    assert read_access().host == "own.example"


async def test_a_token_that_the_server_takes_no_more_is_read_again(in_a_pod: Path) -> None:
    client = ApiClient(read_access)
    (in_a_pod / "token").write_text("stale")
    with pytest.raises(Unavailable, match="401"):
        await client.request("ask", "GET", "/api/v1/nodes")
    (in_a_pod / "token").write_text(ADMIN_TOKEN)
    await client.request("ask", "GET", "/api/v1/nodes")
    await client.close()


async def test_a_watch_that_is_not_accepted_reads_the_token_again(in_a_pod: Path) -> None:
    client = ApiClient(read_access)
    (in_a_pod / "token").write_text("stale")
    with pytest.raises(Unavailable):
        await client.request("ask", "GET", "/api/v1/nodes")
    (in_a_pod / "token").write_text(ADMIN_TOKEN)
    async with client.stream("/api/v1/nodes?watch=1") as (refused, _):
        assert refused.status == 401
    async with client.stream("/api/v1/nodes?watch=1") as (accepted, _):
        assert accepted.status == 200
    await client.close()


async def test_a_token_that_is_away_is_tried_again_later(in_a_pod: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = read_access()
    monkeypatch.setattr(type(found._configuration), "auth_settings", missing)
    with pytest.raises(Unavailable, match="read who we are"):
        found.headers()


def missing(self: object) -> None:
    raise FileNotFoundError("token")


def test_of_several_files_the_first_with_a_current_context_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = []
    for name in ("one", "two"):
        record = kubeconfig(f"http://{name}.example")
        record |= {"current-context": name, "contexts": [{"name": name, "context": {"cluster": name, "user": "admin"}}]}
        record["clusters"] = [{"name": name, "cluster": {"server": f"http://{name}.example"}}]
        files.append(tmp_path / name)
        files[-1].write_text(json.dumps(record))
    monkeypatch.setenv("KUBECONFIG", ":".join(map(str, files)))
    assert read_access().host == "one.example"
    assert read_access(context="two").host == "two.example"


def changed(folder: Path, *, user: dict[str, object] | None = None, **cluster: object) -> str:
    """Write a kubeconfig with more in its cluster, or another user."""
    record: dict[str, Any] = dict(kubeconfig("https://api.example"))
    record["clusters"][0]["cluster"] |= {key.replace("_", "-"): value for key, value in cluster.items()}
    if user is not None:
        record["users"][0]["user"] = user
    return written(folder, record)


def test_a_proxy_in_a_kubeconfig_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r'config: proxy-url "http://p:3128" is not supported'):
        read_access(changed(tmp_path, proxy_url="http://p:3128"))


def test_a_proxy_of_the_environment_is_told_not_to_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://p:3128")
    read_access(changed(tmp_path))
    assert "names the proxy http://p:3128, which is not used" in caplog.text
    caplog.clear()
    monkeypatch.setenv("NO_PROXY", ".example")
    read_access(changed(tmp_path))
    assert not caplog.text


def test_a_server_that_need_not_be_verified_is_not(tmp_path: Path) -> None:
    tls = read_access(changed(tmp_path, insecure_skip_tls_verify=True)).tls
    assert tls is not None and tls.verify_mode is ssl.CERT_NONE and not tls.check_hostname


async def test_the_certificate_is_that_of_the_name_that_the_file_says(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "api.example")

    async def answer(request: Request) -> None:
        await request.answer(200, b"fine")

    async with serving(answer, server_tls(certificate, key)) as server:
        at: dict[str, Any] = {"server": f"https://127.0.0.1:{server.port}", "certificate_authority": str(certificate)}
        for name, good in (("127.0.0.1", False), ("api.example", True)):
            path = changed(tmp_path, **at, tls_server_name=name)
            client = ApiClient(partial(read_access, path))
            if good:
                assert (await client.request("ask", "GET", "/")).body == b"fine"
            else:
                with pytest.raises(Unavailable, match="certificate"):
                    await client.request("ask", "GET", "/")
            await client.close()


def plugin(folder: Path, text: str) -> dict[str, object]:
    """Return a user whose credentials a program prints."""
    program = folder / "plugin"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(program)}}


def credential(token: str) -> str:
    return f"""echo '{{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {{"token": "{token}", "expirationTimestamp": "2020-01-01T00:00:00Z"}}}}'"""


def test_a_credential_plugin_is_asked_and_never_in_the_midst_of_a_request(tmp_path: Path) -> None:
    found = read_access(changed(tmp_path, user=plugin(tmp_path, credential("first"))))
    plugin(tmp_path, "exit 1")
    assert found.headers() == {"authorization": "Bearer first"}  # though it has expired: a refusal has it asked again


def test_a_credential_plugin_that_gives_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r'credential plugin ".*/plugin" that .*config names gave neither'):
        read_access(changed(tmp_path, user=plugin(tmp_path, "exit 1")))


async def test_a_plugin_is_asked_again_when_its_token_is_refused(bed: Bed, tmp_path: Path) -> None:
    cluster: dict[str, Any] = {
        "server": bed.control_plane.url,
        "certificate_authority": str(bed.control_plane.certificate),
    }
    path = changed(tmp_path, user=plugin(tmp_path, credential("stale")), **cluster)
    client = ApiClient(lambda: read_access(path))
    with pytest.raises(Unavailable, match="401"):
        await client.request("ask", "GET", "/api/v1/nodes")
    plugin(tmp_path, credential(ADMIN_TOKEN))
    await client.request("ask", "GET", "/api/v1/nodes")
    await client.close()
