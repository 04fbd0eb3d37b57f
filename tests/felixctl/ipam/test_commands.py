"""`felixctl ipam` on a datastore: the same records through the command line."""

from __future__ import annotations

import pytest

from tests.felixctl.command import Felixctl
from tests.felixctl.golden import printed


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (["show"], "ipam/show.txt"),
        (["show", "--show-blocks"], "ipam/show-blocks.txt"),
        (["show", "--ip", "10.65.84.128"], "ipam/show-ip.txt"),
        (["show", "--ip", "10.65.200.200"], "ipam/show-ip-free.txt"),
        (["show", "--show-borrowed"], "ipam/show-borrowed.txt"),
        (["check"], "ipam/check.txt"),
        (["check", "--show-all-ips"], "ipam/check-all-ips.txt"),
    ],
)
def test_the_commands_print_as_calicoctls(calicos: Felixctl, arguments: list[str], path: str) -> None:
    ended = calicos("ipam", *arguments)
    assert (ended.status, ended.out, ended.err) == (0, printed(path), "")


@pytest.mark.parametrize("arguments", [["--ip", "10.0.0.300"], ["--ip", "10.0.0.3", "--show-borrowed"]])
def test_a_malformed_address_and_options_that_exclude_each_other_end_with_2(
    calicos: Felixctl, arguments: list[str]
) -> None:
    ended = calicos("ipam", "show", *arguments)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("felixctl: ipam show")


def test_configuration_is_made_changed_and_checked(felixctl: Felixctl) -> None:
    assert felixctl("ipam", "configure").status == 2
    assert felixctl("ipam", "configure", "--strictaffinity", "maybe").status == 2
    ended = felixctl("ipam", "configure", "--strictaffinity=true", "--max-blocks-per-host", "4")
    assert ended.out == "Successfully set strictAffinity to: true\nSuccessfully set maxBlocksPerHost to: 4\n"
    shown = felixctl("ipam", "show", "--show-configuration").out
    assert "| StrictAffinity " in shown
    assert felixctl("ipam", "configure", "--max-blocks-per-host", "0").status == 0
    ended = felixctl("ipam", "configure", "--kubevirt-ip-persistence", "Disabled")
    assert ended.out == "Successfully set kubeVirtVMAddressPersistence to: Disabled\n"
    shown = felixctl("--allow-version-mismatch", "ipam", "show", "--show-configuration").out
    assert "| KubeVirtVMAddressPersistence | Disabled |" in shown
    ended = felixctl("ipam", "configure", "--strictaffinity=false")
    assert (ended.status, ended.out) == (0, "Successfully set strictAffinity to: false\n")
    assert felixctl("ipam", "show", "--show-configuration").out == shown.replace("true ", "false", 1)


def test_settings_that_do_not_fit_each_other_are_refused_and_those_that_are_there_can_be_mended(
    felixctl: Felixctl,
) -> None:
    configured = """{kind: IPAMConfig, apiVersion: projectcalico.org/v3, metadata: {name: default}, spec:
      {strictAffinity: true, autoAllocateBlocks: false}}"""
    assert felixctl("apply", "-f", "-", stdin=configured).status == 0
    ended = felixctl("ipam", "configure", "--strictaffinity=false")
    assert (ended.status, ended.out) == (1, "")
    assert 'IPAMConfig "default": autoAllocateBlocks false needs strictAffinity true' in ended.err


def test_a_limit_of_blocks_is_refused_where_nodes_may_borrow_as_by_calicoctl(felixctl: Felixctl) -> None:
    needs = (
        'IPAMConfig "default": maxBlocksPerHost 4 needs strictAffinity true, as a node at its limit borrows nothing all'
        " the same; give --strictaffinity=true, or --max-blocks-per-host=0"
    )
    for asked in (["--max-blocks-per-host", "4"], ["--max-blocks-per-host", "4", "--strictaffinity=false"]):
        ended = felixctl("ipam", "configure", *asked)
        assert (ended.status, ended.out) == (1, "")
        assert needs in ended.err
    assert "strict" not in felixctl("get", "ipamconfig", "-o", "yaml").out, "nothing was written"
    assert felixctl("ipam", "configure", "--max-blocks-per-host", "4", "--strictaffinity=true").status == 0
    assert needs in felixctl("ipam", "configure", "--strictaffinity=false").err
    assert felixctl("ipam", "configure", "--strictaffinity=false", "--max-blocks-per-host", "0").status == 0


def test_a_limit_of_blocks_that_calicos_manual_has_is_applied_with_a_notice_and_can_be_mended(
    felixctl: Felixctl,
) -> None:
    manuals = """{kind: IPAMConfiguration, apiVersion: projectcalico.org/v3, metadata: {name: default}, spec:
      {strictAffinity: false, maxBlocksPerHost: 4}}"""
    ended = felixctl("apply", "-f", "-", stdin=manuals)
    assert (ended.status, "maxBlocksPerHost 4 forbids borrowing" in ended.err) == (0, True)
    ended = felixctl("ipam", "configure", "--ip-cooldown-seconds", "30")
    assert (ended.status, "maxBlocksPerHost 4 forbids borrowing" in ended.err) == (0, True)
    ended = felixctl("ipam", "configure", "--strictaffinity=true")
    assert (ended.status, ended.err) == (0, "")


def test_a_setting_that_is_not_obeyed_is_written_and_reported(felixctl: Felixctl) -> None:
    ended = felixctl("ipam", "configure", "--kubevirt-ip-persistence", "Enabled")
    assert (ended.status, ended.out) == (0, "Successfully set kubeVirtVMAddressPersistence to: Enabled\n")
    assert ended.err.startswith('notice: IPAMConfig "default" spec.kubeVirtVMAddressPersistence: ')
