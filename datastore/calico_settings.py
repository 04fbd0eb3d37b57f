"""Where Calico's programs are set to have their datastore, as a URL of ours: its variables and their like in a file.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import quote

from datastore.errors import Invalid
from datastore.url import GROUPS, KubernetesApi, parse_url, with_choice

KUBERNETES = "kubernetes://"
TYPE, KUBECONFIG, CONTEXT, ETCD = "DATASTORE_TYPE", "KUBECONFIG", "K8S_CURRENT_CONTEXT", "ETCD_ENDPOINTS"
GROUP = "CALICO_API_GROUP"
PREFIX = "CALICO_"
ACCESS = (
    *("K8S_API_ENDPOINT", "K8S_CERT_FILE", "K8S_KEY_FILE", "K8S_CA_FILE", "K8S_TOKEN"),
    "K8S_INSECURE_SKIP_TLS_VERIFY",
)
"""What a kubeconfig says, too, and is read from there only."""

LONGEST = 500


class Given(NamedTuple):
    """A value, and what its user calls it: the variable, or the field and its file."""

    text: str
    name: str


def given_by(environment: Mapping[str, str]) -> dict[str, Given]:
    """Return what the environment has of them, without Calico's prefix, which comes first."""
    found = {}
    for variable in (TYPE, KUBECONFIG, CONTEXT, GROUP, ETCD, *ACCESS):
        for name in (PREFIX + variable, variable):
            if text := environment.get(name, "").strip():
                found[variable] = Given(text, name)
                break
    return found


def store_url(given: Mapping[str, Given], folder: str = "") -> str | None:
    """Return the URL of the datastore that is asked for; None: nothing chooses one.

    KUBECONFIG alone chooses none, as it is there for other programs, too; CALICO_KUBECONFIG and a context do.
    folder: where the path of a kubeconfig begins that is not absolute; without it such a path is refused.
    Raises Invalid: it is none of ours, or its access is not in a kubeconfig.
    """
    for text, name in (given[name] for name in (TYPE, KUBECONFIG, CONTEXT) if name in given):
        if not text.isprintable() or len(text) > LONGEST:
            raise Invalid(f"open the datastore of {name}: it is no printable text of at most {LONGEST} characters")
    kind, kubeconfig, context = given.get(TYPE), given.get(KUBECONFIG), given.get(CONTEXT)
    etcd = kind if kind and kind.text == "etcdv3" else None if kind else given.get(ETCD)
    if etcd:
        raise Invalid(
            f"open the datastore of {etcd.name}: there is no store in etcd here; use {TYPE}=kubernetes,"
            " or FELIX_DATASTORE with the URL of another"
        )
    if kind and kind.text != "kubernetes":
        raise Invalid(f'open the datastore of {kind.name}: "{kind.text}" is no kind of datastore; use kubernetes')
    own = kubeconfig if kubeconfig and kubeconfig.name != KUBECONFIG else None
    if not (kind or own or context):
        return None
    if unread := [given[name].name for name in ACCESS if name in given and given[name].text.lower() != "false"]:
        raise Invalid(
            f"open the datastore kubernetes: {' and '.join(unread)} is not read: the API server and the access to it"
            f" come from a kubeconfig; write it there, and name the file by {KUBECONFIG}"
        )
    path = str(PurePosixPath(folder, own.text)) if own else ""
    if own and not path.startswith("/"):
        raise Invalid(f'open the datastore of {own.name}: "{path}" is no absolute path')
    return KUBERNETES + quote(path) + (f"?context={quote(context.text, safe='')}" if context else "")


def with_group(url: str, given: Mapping[str, Given]) -> str:
    """Return the URL of an API server with the group that Calico's programs are told to use, unless it names one.

    Any other URL as it is. Raises Invalid: that is no group of Calico's resources, or the URL names no store.
    """
    group = given.get(GROUP)
    if group is None or not isinstance(address := parse_url(url), KubernetesApi) or address.group:
        return url
    if group.text not in GROUPS:
        raise Invalid(
            f"open the datastore kubernetes: {group.name} is {group.text[:100]!r}, no group of Calico's resources; use"
            f" {' or '.join(GROUPS)}"
        )
    return with_choice(url, "group", group.text)
