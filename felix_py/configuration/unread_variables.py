"""Variables of the environment that are set and not read: Calico's, and misspelt ones.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase

from datastore.calico_settings import ACCESS, CONTEXT, ETCD, GROUP, KUBECONFIG, KUBERNETES, PREFIX, TYPE, given_by
from datastore.field_rules import NotObeyed, Obeyed, Rule
from datastore.notices import Notice
from datastore.url import KubernetesApi, parse_url
from felix_py.configuration.felix_configuration import FIELDS, OTHER_FIELDS

# Of the shim, the lab, and of this process before it has settings.
READ_ELSEWHERE = frozenset({"FELIX_CONFIG", "FELIX_CNI_SOCKET", "FELIX_CNI_TIMEOUT", "FELIX_LAB"})

_OTHER_STORE = NotObeyed(
    "FELIX_DATASTORE, or where it is unset DATASTORE_TYPE, says which datastore", "it is the one named there"
)
_STORE = (TYPE, KUBECONFIG, CONTEXT, ETCD, *ACCESS)
_OTHER_CONFLIST = NotObeyed(
    "the network configuration is made from FELIX_CNICONFDIR, FELIX_CNINETWORKCONFIG and FELIX_MTU",
    "it is the one made from these",
)

CALICOS: Mapping[str, NotObeyed] = {
    "CALICO_NETWORKING_BACKEND": NotObeyed("routes are exchanged by BGP", "they are, as with bird", unless=("bird",)),
    "AUTODETECT_POLL_INTERVAL": NotObeyed(
        "the node's addresses are looked at whenever they change", "a change of them is followed within seconds"
    ),
    "CALICO_K8S_NODE_REF": NotObeyed("a Node's name is its reference", "it is the setting NODENAME"),
    "WAIT_FOR_DATASTORE": NotObeyed("start-up always waits for the datastore", "it waits", unless=(True,)),
    "CALICO_MANAGE_CNI": NotObeyed(
        "the plugin needs no credentials", "there is no token to be renewed", unless=(False,)
    ),
    "CALICO_DISABLE_FILE_LOGGING": NotObeyed("logs go to standard error only", "no file is written", unless=(True,)),
    "CALICO_STARTUP_LOGLEVEL": NotObeyed(
        "FELIX_LOGSEVERITYSCREEN is the log level from the start on", "it stays as set there"
    ),
    **dict.fromkeys((*_STORE, *(PREFIX + name for name in _STORE), GROUP), _OTHER_STORE),
    "CNI_NETWORK_CONFIG": _OTHER_CONFLIST,
    "CNI_NETWORK_CONFIG_FILE": _OTHER_CONFLIST,
    "CNI_CONF_NAME": _OTHER_CONFLIST,
    "CNI_OLD_CONF_NAME": _OTHER_CONFLIST,
    "CNI_NET_DIR": _OTHER_CONFLIST,
    "CNI_MTU": _OTHER_CONFLIST,
    "CALICO_ADVERTISE_CLUSTER_IPS": NotObeyed("services are not announced", "no peer learns a way to them"),
    "FELIX_TYPHAK8SSERVICENAME": NotObeyed(
        "every agent asks the datastore itself", "it asks no Typha", unless=("none",)
    ),
    "FELIX_IPINIPENABLED": NotObeyed("IPIP is on exactly where a pool has an ipipMode", "the pools apply"),
}
"""Of calico-node and install-cni; their other variables are settings, or Felix's fields."""

_FIELDS: Mapping[str, Rule] = {
    f"FELIX_{path.removeprefix('spec.').upper()}": rule for path, rule in {**FIELDS, **OTHER_FIELDS}.items()
}
_FIELD_ONLY = NotObeyed("it is read from FelixConfiguration only", "the value there applies")
# What Kubernetes sets in every pod for each service of its namespace, such as CALICO_TYPHA_SERVICE_HOST.
_SERVICE_LINK = re.compile(
    r"\w+_(SERVICE_HOST|SERVICE_PORT\w*|PORT_\d+_(TCP|UDP|SCTP)\w*)=.*|\w+_PORT=(tcp|udp|sctp)://.*",
    re.ASCII | re.DOTALL,
)
_NO_SUCH = NotObeyed("no setting of this name is known", "it has no effect")


def unread_variables(environment: Mapping[str, str], known: Collection[str]) -> tuple[Notice, ...]:
    """Return a notice for each variable of ours or Calico's that is set and not read, where its value matters.

    known: the settings. Felix takes its variables in any case, and so are they found here.
    """
    return tuple(
        Notice("Setting", name, "", rule.reason, rule.effect)
        for name, text in sorted(_candidates(environment))
        if name not in known and (rule := _rule(name)) is not None and rule.applies(_typed(text.strip()))
    )


def obeyed_variables(environment: Mapping[str, str], url: str, asked: bool) -> Iterable[str]:
    """Yield those of Calico's for the datastore that say what is done. asked: the URL follows from them."""
    given = given_by(environment)
    if url.startswith(KUBERNETES):
        names = [name for name in (TYPE, KUBECONFIG, CONTEXT) if name in given]
        ours = [
            name
            for name in names
            if asked
            or (name == TYPE and given[name].text == "kubernetes")
            or (name == KUBECONFIG and url.partition("?")[0] == KUBERNETES and given[name].name == KUBECONFIG)
        ]
        yield from (given[name].name for name in ours)
    match parse_url(url):
        case KubernetesApi(group=str(group)) if GROUP in given and given[GROUP].text == group:
            yield given[GROUP].name


def _candidates(environment: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    return (
        (name, text)
        for name, text in environment.items()
        if text.strip() and name not in READ_ELSEWHERE and not _SERVICE_LINK.fullmatch(f"{name}={text}")
    )


def _rule(name: str) -> NotObeyed | None:
    if name in CALICOS:
        return CALICOS[name]
    if not name.upper().startswith(("FELIX_", "CALICO_")):
        return None
    match next((rule for known, rule in _FIELDS.items() if fnmatchcase(name.upper(), known)), None):
        case NotObeyed() as rule:
            return rule
        case Obeyed():
            return _FIELD_ONLY
    return _NO_SUCH


def _typed(text: str) -> object:
    """Return what a field of FelixConfiguration would hold, for a rule to compare."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else text
