"""docs/notices.md and docs/settings.md as they follow from the code: `python -m tests.pages` writes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bgp.notices import REFLECTOR, UNREADABLE
from cni import notices as cni
from cni.wishes import PREFIX
from datastore.field_rules import NotObeyed, Rule
from datastore.record import Resource
from felix_py.configuration.settings import Settings, variables
from felix_py.configuration.unread_variables import CALICOS
from felix_py.notices.unobeyed_fields import RULES
from tests.meanings import MEANINGS

DOCS = Path(__file__).parent.parent / "docs"

NOTICES = """\
# Accepted and not obeyed

Calico's objects and settings are accepted and stored unchanged. The fields, values and kinds below have no effect in
this version. Each yields a notice: `felixctl apply` prints the notices of the objects it has written,
`felixctl get -o yaml` shows them as comments, and the agent logs each once and lists them in `felixctl node status`. A
field that is absent or empty, or has a value that matches what is done anyway, yields none. What annotations of a pod
ask for is told in the log alone, at its ADD.

A field that this version does not know yields a notice too. So does the `cidr` of an IPPool that overlaps a node's
subnet, a network of this host, a range of services that BGPConfiguration names, or addresses that no pod can have:
`felixctl apply` refuses a new one, and of one that is there no block that holds an address of a host is claimed. Where
an IPPool overlaps one with another `blockSize`, no block is claimed that shares addresses with one of the other size.

So does a block of a node, and a pod, that no IPPool holds, as after the pool was deleted with `kubectl`.

So does a BGPPeer from which no session follows, as when `node` or `nodeSelector` means no node, or whose sessions with
nodes can't start from another address, as `sourceAddress: None` would have it; and a configuration
`node.NAME` of which there is no node; an annotation `projectcalico.org/…` of the own Node, or `cni.projectcalico.org/…`
of a Namespace, that nothing reads; and such an annotation `felix-py/…` of any object but a pod.

What felixctl refuses to write and kubectl does not is read all the same, and yields a notice: what is wrong with
selectors, uses and blockSize of an IPPool, which gives no more addresses then, while those that are given are routed;
a selector of a BGPPeer, which selects nothing then, as in Calico, so that its sessions end at once, not with the next
restart; what of an IPReservation is no network, while the rest is reserved; maxBlocksPerHost of an IPAMConfig without
strictAffinity, which `felixctl ipam configure` alone refuses, as calicoctl does; autoAllocateBlocks false without
strictAffinity, with which nodes claim no block and borrow; what a BGPConfiguration sets for the
mesh while `nodeToNodeMeshEnabled` is false; and what one named `node.NAME` sets for the whole cluster.

Kubernetes' own NetworkPolicies are not enforced either: on Kubernetes each agent has a notice of every one, as
KubernetesNetworkPolicy.

<!-- `python -m tests.pages` writes this page from the rules that the notices come from. -->
"""

SETTINGS = """\
# Settings

Of the agent and, on Kubernetes, of the controller, which reads the same variables and needs few of them: where the
datastore is, `NAMESPACE` for its Lease, `FELIX_LEAKGRACEPERIOD`, `FELIX_LOSSHOLDPERIOD`, the log level, and those
that begin with `FELIX_CONTROLLER`. Where `FELIX_LEAKGRACEPERIOD` is unset, leakGracePeriod of
KubeControllersConfiguration counts. The controller makes that object where there is none, as Calico's does, and says
in its status with what it runs; where a pod of calico-kube-controllers runs it does neither. Of Calico's variables
the controller also obeys `ENABLED_CONTROLLERS`: `node` is what it has. On SQLite each agent obeys
`FELIX_LEAKGRACEPERIOD` itself.

From the environment, else from a file with lines `NAME = value` (the one that `FELIX_CONFIG` names, which must be
there, or `/etc/felix/felix.cfg`),
else the default. An empty value counts as unset. A value that is not allowed ends the process with exit code 2 and one
sentence. Variables of Calico's that are set and not read are listed in [notices.md](notices.md). The file is read when
the agent starts; a setting that changes in it later is a notice that names it.

`CALICO_IPV4POOL_…` and `CALICO_IPV6POOL_…` count only at a start that finds no pool of their family, and make the first
one then (`felix_py/startup/cluster_defaults.py`). On Kubernetes that is also when the pod subnet is read that kubeadm
noted in the ConfigMap kube-system/kubeadm-config (`felix_py/startup/kubeadm.py`).

`CALICO_API_GROUP` says for a datastore on Kubernetes in which group Calico's resources are, unless the URL does:
`kubernetes://?group=projectcalico.org/v3`. Where neither does, it is the one that is served, and of two
`crd.projectcalico.org/v1`.

<!-- `python -m tests.pages` writes this page from felix_py/configuration/settings.py and tests/meanings.py. -->
"""


def notices_page() -> str:
    """Return docs/notices.md."""
    whole = {kind: rules.whole for kind, rules in RULES.items() if rules.whole is not None}
    parts = [NOTICES]
    for kind, rules in RULES.items():
        fields = {**rules.fields, **rules.other_fields}
        if any(isinstance(rule, NotObeyed) for rule in fields.values()):
            names = " and ".join(f"`{name}NAME`" if name.endswith(".") else f"`{name}`" for name in rules.read_names)
            only = f"Only objects named {names} are read.\n\n" if names else ""
            parts.append(f"## {kind.KIND}\n\n{only}{_table('field', fields.items())}")
    annotations = [*UNREADABLE.items(), ("RouteReflectorClusterID", REFLECTOR)]
    named = [(f"projectcalico.org/{name}", rule) for name, rule in annotations]
    parts.append(f"## Node\n\n{_table('annotation', named)}")
    parts.append(f"## Kinds that are stored and have no effect\n\n{_kinds(whole)}")
    parts.append(f"## Network configuration of the plugin\n\n{_table('member', _of_networks())}")
    parts.append(
        f"Where `ipam.type` is `host-local`, which reads the rest of `ipam`:\n\n{_table('member', _delegated())}"
    )
    pods = [(f"{PREFIX}{name}", rule) for name, rule in cni.ANNOTATIONS.items()]
    pods.append((f"{cni.SHAPING_PREFIX}NAME", cni.SHAPING))
    parts.append(f"## Annotations of pods\n\n{_table('annotation', pods)}")
    parts.append(
        f"## Variables\n\nBeside these, `FELIX_` and the name of a field of FelixConfiguration in capitals.\n\n"
        f"{_table('variable', CALICOS.items())}"
    )
    return "\n".join(parts)


def _of_networks() -> Iterable[tuple[str, Rule]]:
    yield from cni.NETWORK.other_fields.items()
    yield "runtimeConfig.NAME", cni.CAPABILITY


def _delegated() -> Iterable[tuple[str, Rule]]:
    """Yield the rules that a network has only where another plugin gives the addresses."""
    yield from cni.DELEGATED.fields.items()
    usual = cni.NETWORK.other_fields
    yield from ((path, rule) for path, rule in cni.DELEGATED.other_fields.items() if usual.get(path) != rule)


def settings_page() -> str:
    """Return docs/settings.md."""
    usual = defaults()
    rows = [
        (f"`{name}`", MEANINGS[name], f"`{usual[name]}`" if usual[name] else "", allowed)
        for name, allowed in variables().items()
    ]
    return f"{SETTINGS}\n{_markdown(('setting', 'what it is for', 'default', 'allowed'), rows)}"


def defaults() -> dict[str, str]:
    """Return the default of every setting, as it would be written."""
    settings = Settings()
    groups = (("", settings), ("CALICO_IPV4POOL_", settings.ipv4_pool), ("CALICO_IPV6POOL_", settings.ipv6_pool))
    return {name: default for prefix, group in groups for name, default in _defaults(prefix, group)}


def _defaults(prefix: str, group: BaseModel) -> Iterable[tuple[str, str]]:
    for name, field in type(group).model_fields.items():
        if isinstance(field.validation_alias, str):
            yield f"{prefix}{field.validation_alias}", _default(getattr(group, name))


def _default(value: Any) -> str:
    match value:
        case None | ():
            return ""
        case bool():
            return str(value).lower()
        case 0o666:
            return "0666"
        case float():
            return f"{value:g}"
        case _:
            return str(getattr(value, "text", value))


def _table(heading: str, rules: Iterable[tuple[str, Rule]]) -> str:
    """Return one row for all fields with the same reason and effect, each with the values that yield a notice."""
    rows: dict[tuple[str, str], list[str]] = {}
    for path, rule in rules:
        if isinstance(rule, NotObeyed):
            rows.setdefault((rule.reason, rule.effect), []).append(f"`{path.removeprefix('spec.')}`{_values(rule)}")
    return _markdown(
        (heading, "why it is not obeyed", "what happens instead"),
        [(", ".join(fields), reason, effect) for (reason, effect), fields in rows.items()],
    )


def _values(rule: NotObeyed) -> str:
    words = [] if rule.when is None else [rule.when.words]
    if rule.unless:
        words.append(f"not {' or '.join(f'`{_text(value)}`' for value in rule.unless)}")
    return f" ({', '.join(words)})" if words else ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _kinds(whole: Mapping[type[Resource], NotObeyed]) -> str:
    groups: dict[NotObeyed, list[str]] = {}
    for kind, rule in whole.items():
        groups.setdefault(rule, []).append(kind.KIND)
    return _markdown(
        ("kinds", "why", "what happens instead"),
        [(", ".join(kinds), rule.reason, rule.effect) for rule, kinds in groups.items()],
    )


def _markdown(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [headings, ("---",) * len(headings), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '∣') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    (DOCS / "notices.md").write_text(notices_page())
    (DOCS / "settings.md").write_text(settings_page())
