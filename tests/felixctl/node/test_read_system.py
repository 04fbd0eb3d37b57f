"""What is read of a node's system."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

from felixctl.node import read_system
from felixctl.node.requirements import Availability
from tests.felixctl.node.test_requirements import state


def test_modules_are_found_in_the_files_of_depmod(tmp_path: Path) -> None:
    folder = tmp_path / "lib" / "modules" / os.uname().release
    folder.mkdir(parents=True)
    (folder / "modules.dep").write_text("kernel/net/ipv4/ipip.ko.xz: kernel/net/ipv4/tunnel4.ko.xz\n")
    (folder / "modules.builtin").write_text("kernel/drivers/net/veth.ko\n")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "config.gz").write_bytes(gzip.compress(b"CONFIG_NET_NS=y\nCONFIG_NET_IPIP=m\n"))
    found = read_system.read_system(root=tmp_path)
    assert [state(found, name) for name in ("ipip", "veth", "network namespaces", "vxlan")] == [
        Availability.LOADABLE,
        Availability.PRESENT,
        Availability.PRESENT,
        Availability.MISSING,
    ]
