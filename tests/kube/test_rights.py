"""docs/rbac.md says what the API server says of the accounts' rights."""

from __future__ import annotations

import asyncio

from tests.kube import rights
from tests.kube.bed import Bed
from tests.kube.roles import install_roles

LISTED = """\
Resources                                 Non-Resource URLs   Resource Names     Verbs
blockaffinities.crd.projectcalico.org     []                  []                 [get list]
                                          [/healthz]          []                 [get]
configmaps                                []                  [kubeadm-config]   [get]
"""


def test_the_page_says_what_the_api_server_says(started_bed: Bed) -> None:
    asyncio.run(install_roles(started_bed))
    assert rights.PAGE.read_text() == rights.page(started_bed), "run: .venv/bin/python -m tests.kube.rights"


def test_each_account_is_explained() -> None:
    assert rights.accounts() == [*rights.WHO]


def test_a_list_is_read_by_its_columns() -> None:
    assert rights.rights_in(LISTED) == {
        rights.Right("blockaffinities.crd.projectcalico.org", "", "", "get list"),
        rights.Right("", "/healthz", "", "get"),
        rights.Right("configmaps", "", "kubeadm-config", "get"),
    }
