"""`felixctl node`."""

from __future__ import annotations

from pathlib import Path

from felixctl.node.requirements import FEATURES
from tests.felixctl.command import Felixctl


def test_the_command_ends_with_1_if_something_needed_is_missing(felixctl: Felixctl, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("CONFIG_NET_NS=y\n# CONFIG_VETH is not set\n")
    ended = felixctl("node", "checksystem", "--kernel-config", str(config))
    if not Path("/sys/module/veth").exists():
        assert (ended.status, "Missing: veth, for a pod's pair of devices." in ended.out) == (1, True)
    assert all(purpose in ended.out for purpose in (one.purpose for one in FEATURES))
    ended = felixctl("node", "checksystem", "--kernel-config", "/nowhere")
    assert (ended.status, "read the kernel's configuration /nowhere" in ended.err) == (1, True)
