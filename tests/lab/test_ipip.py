"""A lab with IPIP pools on a kernel that has none: a sentence, before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import host
from lab.host import HostError, start

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(("example", "mode"), [("ipip.yaml", None), ("three-nodes.yaml", "Always")])
def test_a_kernel_without_ipip_is_a_sentence_that_names_the_way_out(
    example: str, mode: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "kernel_has_ipip", lambda: False)
    with pytest.raises(HostError, match=r"this kernel has no ipip; `make lab-ipip`"):
        start(EXAMPLES / example, lambda what, done, wanted: None, stays=False, ipip=mode)
