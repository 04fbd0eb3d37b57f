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


def test_a_setting_that_is_not_obeyed_is_written_and_reported(felixctl: Felixctl) -> None:
    ended = felixctl("ipam", "configure", "--kubevirt-ip-persistence", "Enabled")
    assert (ended.status, ended.out) == (0, "Successfully set kubeVirtVMAddressPersistence to: Enabled\n")
    assert ended.err.startswith('notice: IPAMConfig "default" spec.kubeVirtVMAddressPersistence: ')
