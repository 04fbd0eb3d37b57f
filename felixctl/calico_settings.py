"""Which datastore a command is for, where the settings that people have for calicoctl say it.

--datastore and FELIX_DATASTORE come before all of them; calicoctl's file comes before its variables.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from datastore.calico_settings import (
    ACCESS,
    CONTEXT,
    ETCD,
    GROUP,
    KUBECONFIG,
    TYPE,
    Given,
    given_by,
    store_url,
    with_group,
)
from datastore.errors import Invalid
from datastore.url import KubernetesApi, StoreAddress, parse_url, with_choice
from felixctl.errors import MISUSED, CommandError
from felixctl.terminal import warn

USUAL = Path("/etc/calico/calicoctl.cfg")
API_VERSION, KIND = "projectcalico.org/v3", "CalicoAPIConfig"
FIELDS = {
    "datastoreType": TYPE,
    "kubeconfig": KUBECONFIG,
    "k8sCurrentContext": CONTEXT,
    "calicoAPIGroup": GROUP,
    "etcdEndpoints": ETCD,
    "k8sAPIEndpoint": "K8S_API_ENDPOINT",
    "k8sCertFile": "K8S_CERT_FILE",
    "k8sKeyFile": "K8S_KEY_FILE",
    "k8sCAFile": "K8S_CA_FILE",
    "k8sAPIToken": "K8S_TOKEN",
    "k8sToken": "K8S_TOKEN",
    "k8sInsecureSkipTLSVerify": "K8S_INSECURE_SKIP_TLS_VERIFY",
}
REFUSED = "kubeconfigInline"
"""It has keys in it, and calicoctl takes it before every other."""

_ETCDS = ("DiscoverySrv", "Username", "Password", "KeyFile", "CertFile", "CACertFile", "Key", "Cert", "CACert")
WITHOUT_EFFECT = frozenset({"k8sDisableNodePoll", "k8sClientQPS", "usePodCIDR"} | {f"etcd{name}" for name in _ETCDS})


def chosen(options: Mapping[str, str], environment: Mapping[str, str], usual: Path = USUAL) -> str | None:
    """Return the URL that calicoctl's settings ask for; None: they ask for none. Raises CommandError.

    options: --config and --context, where they are given.
    """
    named = options.get("config")
    path = Path(named) if named else usual
    try:
        file = _read(path)
    except FileNotFoundError as error:
        if named:
            raise CommandError(f"read {path}: {error.strerror}; name another by --config", MISUSED) from None
        file = {}
    except OSError as error:
        raise CommandError(f"read {path}: {error.strerror}; name another by --config, or use --datastore") from None
    given = {**given_by(environment), **file}
    if context := options.get("context", "").strip():
        given[CONTEXT] = Given(context, "--context")
    try:
        url = store_url(given, os.getcwd())
        return url and with_group(url, given)
    except Invalid as error:
        raise CommandError(str(error)) from None


def with_named_group(url: str, environment: Mapping[str, str]) -> str:
    """Return the URL that was given as one, with the group that the environment names. Raises CommandError."""
    try:
        return with_group(url, given_by(environment))
    except Invalid as error:
        raise CommandError(str(error)) from None


def with_options(url: str, options: Mapping[str, str]) -> str:
    """Return the URL that was given as one, with the context that was asked for. Raises CommandError: it has none."""
    if config := options.get("config"):
        warn(f"felixctl: {config} is not read: --datastore or FELIX_DATASTORE names the datastore {url}\n")
    context = options.get("context")
    if not context:
        return url
    try:
        address = parse_url(url)
    except Invalid as error:
        raise CommandError(str(error)) from None
    if not isinstance(address, KubernetesApi) or address.context not in (None, context):
        raise CommandError(f"use --context {context}: the datastore is {url}; use one of the two", MISUSED)
    return url if address.context else with_choice(url, "context", context)


def overruled(url: str, environment: Mapping[str, str], usual: Path = USUAL) -> None:
    """Say which of calicoctl's settings ask for another datastore than FELIX_DATASTORE, which comes before them."""
    given = given_by(environment)
    names = [str(usual)] if usual.exists() else []
    names += [given[name].name for name in (TYPE, CONTEXT, KUBECONFIG) if name in given]
    try:
        other = chosen({}, environment, usual)
        agrees = other is None or _is_within(parse_url(url), parse_url(other))
    except (CommandError, Invalid):  # what they ask for cannot be done at all
        agrees = False
    if not agrees:
        asked = " and ".join(name for name in names if name != KUBECONFIG)
        warn(f"felixctl: FELIX_DATASTORE names the datastore {url}, so {asked} is not obeyed\n")


def _is_within(chosen: StoreAddress, other: StoreAddress) -> bool:
    """Whether a datastore is what others ask for, as far as they say it."""
    if not isinstance(chosen, KubernetesApi) or not isinstance(other, KubernetesApi):
        return chosen == other
    asked = ((other.kubeconfig, chosen.kubeconfig), (other.context, chosen.context), (other.group, chosen.group))
    return all(theirs in (None, ours) for theirs, ours in asked)


def hint(environment: Mapping[str, str], file: Path) -> None:
    """Say that a variable for another program chose nothing, where there is no datastore of ours at its usual place."""
    given = given_by(environment)
    if (found := [given[name].name for name in (KUBECONFIG, *ACCESS) if name in given]) and not file.exists():
        warn(f"felixctl: {found[0]} chooses no datastore; for Kubernetes set {TYPE}=kubernetes; {file} is used\n")


def _read(path: Path) -> dict[str, Given]:
    """Return what a configuration file of calicoctl says. Raises CommandError: it is none. Raises OSError."""
    text = path.read_text(errors="replace")
    from felixctl.resources.documents import MalformedDocumentError, yaml_value

    try:
        body = yaml_value(text)
    except MalformedDocumentError as error:
        raise CommandError(f"read {path}: {error}") from None
    if not isinstance(body, dict) or body.get("apiVersion") != API_VERSION or body.get("kind") != KIND:
        raise CommandError(f"read {path}: it is no {KIND} of {API_VERSION}, which calicoctl's configuration is")
    if beside := [key for key in body if key not in ("apiVersion", "kind", "metadata", "spec")]:
        raise CommandError(f'read {path}: "{beside[0]}" stands beside spec, where nothing is read: write it into spec')
    spec = body.get("spec") or {}
    if not isinstance(spec, dict):
        raise CommandError(f"read {path}: spec is no mapping")
    if unknown := [key for key in spec if key not in (*FIELDS, REFUSED, *WITHOUT_EFFECT)]:
        raise CommandError(f'read {path}: "{unknown[0]}" is no field of a {KIND}; remove or correct it')
    if spec.get(REFUSED):
        raise CommandError(f"read {path}: {REFUSED} is not read; write it to a file of its own and name that")
    unread = sorted(key for key in spec if key in WITHOUT_EFFECT and spec[key])
    if unread:
        warn(f"felixctl: {path}: without effect here: {', '.join(unread)}\n")
    found = dict(_given(path, spec))
    kind = Given("etcdv3", found[ETCD].name) if ETCD in found else Given("kubernetes", str(path))
    return {TYPE: kind, **found}


def _given(path: Path, spec: Mapping[str, Any]) -> Iterator[tuple[str, Given]]:
    for field, value in spec.items():
        if field in FIELDS and value not in (None, "", False):
            if not isinstance(value, str | bool):
                raise CommandError(f"read {path}: {field} is no text")
            yield FIELDS[field], Given(str(value).strip(), f"{field} in {path}")
