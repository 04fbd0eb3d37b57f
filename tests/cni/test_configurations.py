"""Which file of several a container runtime takes."""

from __future__ import annotations

import pytest

from cni.configurations import CONFLIST, first_of


@pytest.mark.parametrize(
    ("names", "first"),
    [
        ([CONFLIST], None),
        ([], None),
        ([CONFLIST, "10-calico.conflist"], "10-calico.conflist"),
        (["87-podman-bridge.conflist"], None),
        (["05-a.json", "05-b.conf"], "05-a.json"),
        (["05-a.conf.before", "00-README"], None),
    ],
)
def test_the_first_by_name_is_taken_and_only_of_the_endings_that_runtimes_read(
    names: list[str], first: str | None
) -> None:
    assert first_of(names) == first
