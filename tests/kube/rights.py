"""docs/rbac.md: what each account may do, as a real API server says: `python -m tests.kube.rights` writes it."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import yaml

from tests.kube.bed import Bed
from tests.kube.control_plane import running, user_of
from tests.kube.kubectl import kubectl
from tests.kube.roles import BASE, install_roles

PAGE = Path(__file__).parents[2] / "docs" / "rbac.md"

HOME, ELSEWHERE = "kube-system", "default"
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete")
NOBODY = "an-account-without-any-role"

WHO: Mapping[str, str] = {
    "felix-py-node": (
        "The agent of each node. Its token is in the agent's container alone, for an hour at a time: neither the"
        " sidecar nor the host has one."
    ),
    "felix-py-controller": (
        "The controller, which gives back addresses and blocks of pods and nodes that are gone, once for the cluster."
    ),
    "felix-py-viewer": (
        "Whoever looks: `felixctl get`, `ipam show`, `why`, `node status --all`. No pod runs as it; a token of it for a"
        " person is `kubectl -n kube-system create token felix-py-viewer`. It cannot get itself another one."
    ),
    "felix-py-status": (
        "Tokens that felixctl shows to agents, which ask whether this account may get the page: a viewer gets them for"
        " ten minutes, and they are good for nothing else. No pod runs as it."
    ),
}
"""Who has an account, and why it may do what it may."""

_HEAD = """\
# Rights

What each account of an installation may do in the cluster, as the API server itself says, without what it grants every
account. `manifests/base/roles.yaml` has the reasons. To ask a cluster of your own:

```sh
kubectl auth can-i --list --namespace kube-system --as system:serviceaccount:kube-system:felix-py-node
```

What is not in these tables is denied: no account of ours may read Secrets that are not named here, change Nodes or pods
other than by their status, or run anything in a pod. Calico's two API groups, `crd.projectcalico.org` and
`projectcalico.org`, are one line each, as a cluster serves one of them.

<!-- `python -m tests.kube.rights` writes this page from what a real API server answers. -->
"""


class Right(NamedTuple):
    """One line of `kubectl auth can-i --list`."""

    resource: str
    url: str
    names: str
    verbs: str


def accounts() -> list[str]:
    """Return the ServiceAccounts of an installation."""
    records = yaml.safe_load_all((BASE / "accounts.yaml").read_text())
    return [record["metadata"]["name"] for record in records if record["kind"] == "ServiceAccount"]


def rights_in(listed: str) -> set[Right]:
    """Return the rights of a list, whose columns begin where its headings do."""
    heading, *lines = listed.splitlines()
    starts = [match.start() for match in re.finditer(r"\S+(?: \S+)*", heading)]
    return {
        Right(*(line[a:b].strip(" []") for a, b in zip(starts, [*starts[1:], None], strict=True))) for line in lines
    }


def page(bed: Bed) -> str:
    """Return docs/rbac.md. The accounts and their roles are installed."""
    return _HEAD + "".join(f"\n## {name}\n\n{WHO[name]}\n\n{_table(bed, name)}" for name in accounts())


def _table(bed: Bed, account: str) -> str:
    nobody = {where: _rights(bed, NOBODY, where) for where in (HOME, ELSEWHERE)}
    here, elsewhere = ({*map(_shown, _rights(bed, account, where) - nobody[where])} for where in (HOME, ELSEWHERE))
    places = ((here & elsewhere, "everywhere"), (here - elsewhere, f"in {HOME}"), (elsewhere - here, f"in {ELSEWHERE}"))
    rows = sorted((*right, place) for rights, place in places for right in rights)
    lines = [("what", "of these names", "verbs", "where"), ("---",) * 4, *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _rights(bed: Bed, account: str, namespace: str) -> set[Right]:
    asked = ("auth", "can-i", "--list", "--namespace", namespace, "--as", user_of(account))
    return rights_in(kubectl(bed, *asked))


def _shown(right: Right) -> tuple[str, ...]:
    resource = re.sub(r"\.(crd\.)?projectcalico\.org$", " of Calico", right.resource)
    kind, _, group = resource.partition(".")
    what = right.url or (f"{kind} of {group}" if group else kind)
    verbs = sorted(right.verbs.split(), key=VERBS.index)  # those of several roles come in any order
    return what, right.names.replace(" ", ", "), ", ".join(verbs)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as control_plane:
        bed = Bed(control_plane)
        asyncio.run(install_roles(bed))
        PAGE.write_text(page(bed))


if __name__ == "__main__":
    main()
