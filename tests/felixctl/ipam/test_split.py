"""`felixctl ipam split`."""

from __future__ import annotations

import pytest

from tests.felixctl.command import Felixctl


def test_a_pool_is_split_while_locked_and_pods_keep_their_addresses(damaged: Felixctl) -> None:
    split = ("ipam", "split", "4", "--name", "default-ipv4-ippool")
    assert "the datastore is not locked" in damaged(*split).err
    damaged("datastore", "lock")
    before = damaged("get", "blocks").out
    assert damaged(*split).status == 0
    assert damaged("get", "ippools", "-o", "jsonpath={.items[*].spec.cidr}").out == (
        "10.65.0.0/18 10.65.64.0/18 10.65.128.0/18 10.65.192.0/18"
    )
    names = damaged("get", "ippools", "-o", "name").out.split()
    assert names[0] == "ippool/split-default-ipv4-ippool-0"
    assert damaged("get", "blocks").out == before


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["3", "--cidr", "10.65.0.0/16"], 2, "3 is not a power of two"),
        (["2"], 2, "give --name or --cidr"),
        (["2", "--cidr", "10.9.0.0/16"], 1, "there is no such pool"),
        (["2048", "--cidr", "10.65.0.0/16"], 1, "at most 1024 parts"),
    ],
)
def test_a_pool_that_cannot_be_split_so_is_refused(
    damaged: Felixctl, arguments: list[str], status: int, sentence: str
) -> None:
    ended = damaged("ipam", "split", *arguments)
    assert (ended.status, sentence in ended.err) == (status, True)


def test_a_pool_that_is_smaller_than_a_block_cannot_be_split(felixctl: Felixctl) -> None:
    small = "metadata: {name: small}, spec: {cidr: 10.9.0.0/30, disabled: true}"
    felixctl("apply", "-f", "-", stdin=f"{{kind: IPPool, apiVersion: projectcalico.org/v3, {small}}}")
    ended = felixctl("ipam", "split", "2", "--name", "small")
    assert (ended.status, "smaller than one block of /26; it cannot be split" in ended.err) == (1, True)
