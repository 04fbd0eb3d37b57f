from __future__ import annotations

import json
from pathlib import Path

import pytest

from felixctl.calico_settings import chosen, hint, overruled, with_named_group, with_options
from felixctl.errors import CommandError
from tests.felixctl.command import Felixctl

HEAD = "apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nmetadata:\n"


def written(folder: Path, *lines: str) -> str:
    path = folder / "calicoctl.cfg"
    path.write_text(HEAD + "".join(f"{line}\n" for line in ("spec:", *(f"  {line}" for line in lines))))
    return str(path)


def url(folder: Path, *lines: str, context: str = "", **environment: str) -> str | None:
    options = {"config": written(folder, *lines), "context": context}
    return chosen(options, environment)


def test_calicoctls_file_says_which_kubeconfig_and_context(tmp_path: Path) -> None:
    lines = ("datastoreType: kubernetes", "kubeconfig: /etc/k", "k8sCurrentContext: east")
    assert url(tmp_path, *lines) == "kubernetes:///etc/k?context=east"
    assert url(tmp_path, *lines, context="west") == "kubernetes:///etc/k?context=west"
    assert url(tmp_path, "kubeconfig: k") == f"kubernetes://{Path.cwd()}/k"
    assert url(tmp_path) == "kubernetes://"


def test_calicoctls_file_and_variable_say_which_group(tmp_path: Path) -> None:
    v3, crd = "projectcalico.org/v3", "crd.projectcalico.org/v1"
    lines = ("kubeconfig: /etc/k", f"calicoAPIGroup: {v3}")
    assert url(tmp_path, *lines, context="east") == f"kubernetes:///etc/k?context=east&group={v3}"
    assert url(tmp_path, *lines, CALICO_API_GROUP=crd) == f"kubernetes:///etc/k?group={v3}"
    assert url(tmp_path, CALICO_API_GROUP=crd) == f"kubernetes://?group={crd}"
    assert with_named_group("kubernetes:///k", {"CALICO_API_GROUP": v3}) == f"kubernetes:///k?group={v3}"
    with pytest.raises(CommandError, match="CALICO_API_GROUP is 'v3', no group of Calico's resources"):
        with_named_group("kubernetes:///k", {"CALICO_API_GROUP": "v3"})


def test_json_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    spec = {"datastoreType": "kubernetes", "kubeconfig": "/k"}
    path.write_text(json.dumps({"apiVersion": "projectcalico.org/v3", "kind": "CalicoAPIConfig", "spec": spec}))
    assert chosen({"config": str(path)}, {}) == "kubernetes:///k"


def test_the_file_comes_before_the_variables_and_they_say_what_it_does_not(tmp_path: Path) -> None:
    file = ("datastoreType: kubernetes", "kubeconfig: /etc/k")
    asked = url(tmp_path, *file, DATASTORE_TYPE="etcdv3", CALICO_KUBECONFIG="/other", K8S_CURRENT_CONTEXT="a")
    assert asked == "kubernetes:///etc/k?context=a"


def test_the_usual_file_is_read_where_there_is_one(tmp_path: Path) -> None:
    usual = Path(written(tmp_path, "kubeconfig: /k"))
    assert chosen({}, {}, usual) == "kubernetes:///k"
    assert chosen({}, {}, tmp_path / "none") is None
    assert chosen({}, {"DATASTORE_TYPE": "kubernetes"}, tmp_path / "none") == "kubernetes://"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["datastoreType: etcdv3"], "no store in etcd"),
        (['etcdEndpoints: "http://e:2379"'], "etcdEndpoints in .*: there is no store in etcd"),
        (["datastoreType: other"], '"other" is no kind of datastore'),
        (["k8sAPIEndpoint: https://a"], "k8sAPIEndpoint in .* is not read"),
        (["k8sInsecureSkipTLSVerify: true"], "k8sInsecureSkipTLSVerify in .* is not read"),
        (["kubeconfigInline: secret"], "kubeconfigInline is not read"),
        (["kubeConfig: /k"], '"kubeConfig" is no field of a CalicoAPIConfig'),
        (["kubeconfig: [1]"], "kubeconfig is no text"),
        (["calicoAPIGroup: v3"], "calicoAPIGroup in .* is 'v3', no group of Calico's resources; use crd"),
        (["a: 1", "a: 2"], "calicoctl.cfg: "),
    ],
)
def test_what_cannot_be_obeyed_is_refused(tmp_path: Path, lines: list[str], reason: str) -> None:
    with pytest.raises(CommandError, match=reason) as refused:
        url(tmp_path, *lines)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "spec: {}", "[]", HEAD + "spec: 1", "kind: IPPool\napiVersion: v1", "\0"])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.cfg"
    path.write_text(text)
    with pytest.raises(CommandError, match=f"read {path}: "):
        chosen({"config": str(path)}, {})


def test_a_file_that_was_named_must_be_there_and_any_be_readable(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file or directory; name another by --config"):
        chosen({"config": str(tmp_path / "none")}, {"DATASTORE_TYPE": "kubernetes"})
    with pytest.raises(CommandError, match="Is a directory"):
        chosen({}, {}, tmp_path)


def test_what_has_no_effect_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = ("datastoreType: kubernetes", "k8sClientQPS: 50", "usePodCIDR: false", "etcdUsername: a")
    assert url(tmp_path, *file) == "kubernetes://"
    assert capsys.readouterr().err.endswith("without effect here: etcdUsername, k8sClientQPS\n")


def test_a_url_that_was_given_takes_the_context_and_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert with_options("kubernetes:///k", {"context": "a b"}) == "kubernetes:///k?context=a%20b"
    assert with_options("kubernetes:///k?context=a", {"context": "a"}) == "kubernetes:///k?context=a"
    grouped = "kubernetes:///k?group=projectcalico.org/v3"
    assert with_options(grouped, {"context": "a"}) == f"{grouped}&context=a"
    assert with_options("sqlite:///c.db", {"config": "c.cfg"}) == "sqlite:///c.db"
    assert "c.cfg is not read: --datastore or FELIX_DATASTORE names" in capsys.readouterr().err
    for given in ("sqlite:///c.db", "kubernetes:///k?context=b"):
        with pytest.raises(CommandError, match="use --context a: the datastore is"):
            with_options(given, {"context": "a"})


def test_a_kubeconfig_that_chooses_nothing_is_said_where_there_is_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hint({"KUBECONFIG": "/k"}, tmp_path / "none")
    assert "KUBECONFIG chooses no datastore; for Kubernetes set DATASTORE_TYPE=kubernetes" in capsys.readouterr().err
    hint({"KUBECONFIG": "/k"}, tmp_path)
    hint({}, tmp_path / "none")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", ["--context a get nodes", "ipam show --context=a", "datastore lock --context a"])
def test_the_options_stand_before_or_behind_the_command(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = Felixctl("sqlite:///c.db", monkeypatch, capsys)(*command.split())
    assert (ended.status, ended.err) == (
        2,
        "felixctl: use --context a: the datastore is sqlite:///c.db; use one of the two\n",
    )


def test_only_a_command_that_has_a_datastore_is_refused_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    felixctl = Felixctl("", monkeypatch, capsys)
    monkeypatch.setenv("FELIX_CONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("DATASTORE_TYPE", "etcdv3")
    assert "of DATASTORE_TYPE: there is no store in etcd" in felixctl("get", "nodes").err
    assert felixctl("get", "--help").status == felixctl("node", "--help").status == 0
    assert felixctl("version", "--client").status == 0
    bundle = tmp_path / "n1.tar.gz"
    assert "there is no store in etcd" in felixctl("node", "diags", "-o", str(bundle)).out
    assert bundle.exists()
    assert felixctl("get", "nodes", "--datastore", f"sqlite:///{tmp_path}/c.db").err.count("no such file") == 1


@pytest.mark.parametrize(
    ("given", "environment", "named"),
    [
        ("sqlite:///c.db", {"DATASTORE_TYPE": "kubernetes"}, "DATASTORE_TYPE"),
        ("sqlite:///c.db", {"CALICO_DATASTORE_TYPE": "etcdv3"}, "CALICO_DATASTORE_TYPE"),
        (
            "sqlite:///c.db",
            {"CALICO_KUBECONFIG": "/k", "K8S_CURRENT_CONTEXT": "a"},
            "K8S_CURRENT_CONTEXT and CALICO_KUBECONFIG",
        ),
        ("kubernetes:///k", {"CALICO_KUBECONFIG": "/other"}, "CALICO_KUBECONFIG"),
        ("kubernetes:///k?context=a", {"K8S_CURRENT_CONTEXT": "b"}, "K8S_CURRENT_CONTEXT"),
        ("kubernetes:///k?context=a", {"DATASTORE_TYPE": "kubernetes", "CALICO_KUBECONFIG": "/k"}, ""),
        ("sqlite:///c.db", {"KUBECONFIG": "/k"}, ""),
        ("sqlite:///c.db", {}, ""),
    ],
)
def test_what_loses_to_felix_datastore_is_said(
    tmp_path: Path, given: str, environment: dict[str, str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    overruled(given, environment, tmp_path / "none")
    said = f"felixctl: FELIX_DATASTORE names the datastore {given}, so {named} is not obeyed\n" if named else ""
    assert capsys.readouterr().err == said


def test_a_file_that_loses_to_felix_datastore_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(written(tmp_path, "kubeconfig: /k"))
    overruled("kubernetes:///k", {}, file)
    assert capsys.readouterr().err == ""
    overruled("kubernetes://", {}, file)
    assert capsys.readouterr().err.endswith(f"so {file} is not obeyed\n")
    file = Path(written(tmp_path, "calicoAPIGroup: projectcalico.org/v3"))
    overruled("kubernetes://", {}, file)
    assert capsys.readouterr().err.endswith(f"so {file} is not obeyed\n")


def test_a_variable_loses_to_felix_datastore_and_not_in_silence_but_to_the_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    felixctl = Felixctl(f"sqlite://{tmp_path}/c.db", monkeypatch, capsys)
    monkeypatch.setenv("DATASTORE_TYPE", "kubernetes")
    assert "so DATASTORE_TYPE is not obeyed" in felixctl("get", "nodes").err
    assert "is not obeyed" not in felixctl("get", "nodes", "--datastore", f"sqlite://{tmp_path}/c.db").err


FIELDS_OF_3_32 = (
    *("datastoreType", "etcdEndpoints", "etcdDiscoverySrv", "etcdUsername", "etcdPassword", "etcdKeyFile"),
    *("etcdCertFile", "etcdCACertFile", "etcdKey", "etcdCert", "etcdCACert", "kubeconfig", "k8sAPIEndpoint"),
    *("k8sKeyFile", "k8sCertFile", "k8sCAFile", "k8sAPIToken", "k8sInsecureSkipTLSVerify", "k8sDisableNodePoll"),
    *("usePodCIDR", "kubeconfigInline", "k8sClientQPS", "k8sCurrentContext", "calicoAPIGroup"),
)


@pytest.mark.parametrize("field", FIELDS_OF_3_32)
def test_every_field_of_calicoctls_file_is_obeyed_or_refused_or_told(
    tmp_path: Path, field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    value = {"datastoreType": "kubernetes", "k8sClientQPS": "50"}.get(field, "/x" if field == "kubeconfig" else "true")
    try:
        asked = url(tmp_path, f"{field}: {value}")
    except CommandError as refused:
        assert field in str(refused)
        return
    obeyed = asked != "kubernetes://" or field == "datastoreType"
    assert obeyed or f"without effect here: {field}\n" in capsys.readouterr().err


def test_a_field_beside_spec_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.cfg"
    path.write_text(f"{HEAD}datastoreType: kubernetes\n")
    with pytest.raises(CommandError, match='"datastoreType" stands beside spec'):
        chosen({"config": str(path)}, {})
