"""What ExaBGP's process does without, and that what is used of it is there."""

from __future__ import annotations

import pytest

from bgp.exabgp_launcher.left_out import Unused
from tests.bgp.exabgp_launcher.in_python import patched


def test_what_is_used_after_all_fails() -> None:
    unused = Unused("exabgp.unused")
    assert unused.Flow is unused.Flow
    assert not isinstance("a flow", unused.Flow)
    with pytest.raises(TypeError):
        unused.Flow("10.65.0.0/26")
    assert not hasattr(unused.Flow, "unpack_nlri")
    assert not hasattr(unused, "__path__")  # the import machinery asks


def test_the_families_that_are_left_are_decoded_and_only_they_are_known() -> None:
    done = patched("""
from exabgp.bgp.message.update.nlri import NLRI, INET
from exabgp.configuration.neighbor import family
from exabgp.protocol.family import AFI, SAFI
assert family.NLRI is NLRI
assert {"ipv4/unicast", "ipv6/unicast"} <= set(NLRI.registered_nlri), NLRI.registered_nlri
assert not {"ipv4/flow", "l2vpn/vpls", "l2vpn/evpn", "bgp-ls/bgp-ls"} & set(NLRI.registered_nlri)
""")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_setting_that_the_environment_lacks_has_exabgps_default() -> None:
    done = patched("""
import os
os.environ["exabgp.tcp.port"] = "1790"
from exabgp.environment import getenv
env = getenv()
assert (env.tcp.port, env.tcp.delay, env.bgp.openwait) == (1790, 0, 60), env
""")
    assert (done.returncode, done.stderr) == (0, "")


def test_datetime_is_what_is_written_in_c() -> None:
    done = patched("""
import sys
from datetime import UTC, datetime, timedelta
assert sys.modules["datetime"] is sys.modules["_datetime"]
assert str(datetime(2026, 11, 30, tzinfo=UTC) + timedelta(days=1)) == "2026-12-01 00:00:00+00:00"
assert datetime.strptime("2026-11-30", "%Y-%m-%d").day == 30
""")
    assert (done.returncode, done.stderr) == (0, "")
