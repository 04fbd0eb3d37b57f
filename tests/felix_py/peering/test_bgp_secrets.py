"""Which Secrets are watched, and what is known of them, whatever happens to them and to the right to read them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from bgp.passwords import KnownSecret
from datastore.kinds.secret import Secret
from datastore.store import Interest
from felix_py.peering import bgp_secrets
from felix_py.peering.bgp_secrets import BgpSecrets
from felix_py.peering.last_passwords import values_of
from tests.felix_py.fakes import until
from tests.felix_py.secrets_store import LACKING, NOWHERE, SecretsStore, secret


@asynccontextmanager
async def following(
    store: SecretsStore, *wanted: str, note: Path = NOWHERE, seconds: float = 60.0
) -> AsyncIterator[BgpSecrets]:
    followed = BgpSecrets(store, "kube-system", lambda: None, note, seconds)
    followed.want(naming(*wanted))
    task = asyncio.create_task(followed.run())
    try:
        yield followed
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def naming(*secrets: str) -> dict[str, frozenset[str]]:
    return dict.fromkeys(secrets, frozenset(("rack1",)))


def known(followed: BgpSecrets, name: str = "bgp") -> KnownSecret:
    return followed.known().by_name[name]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bgp_secrets, "FIRST_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(bgp_secrets, "LAST_RETRY_SECONDS", 0.002)


async def test_only_what_is_wanted_is_watched_by_its_name_while_it_is_wanted() -> None:
    store = SecretsStore(secret("a"), secret("b"), secret("c"))
    async with following(store, "a") as followed:
        await until(lambda: known(followed, "a").answered)
        followed.want(naming("b"))
        await until(lambda: known(followed, "b").answered)
        assert followed.known().by_name.keys() == {"b"}
        assert store.watched == [Interest(Secret, namespace="kube-system", name=name) for name in ("a", "b")]


async def test_a_value_that_changes_and_a_secret_that_goes_and_comes_are_known_at_once() -> None:
    store = SecretsStore(secret(), secret(namespace="other", value="bm8="))
    async with following(store, "bgp") as followed:
        await until(lambda: known(followed) == KnownSecret(True, {"rack1": b"s3cret"}))
        await store.replace(secret(value="bjN3"))
        await until(lambda: known(followed).values == {"rack1": b"n3w"})
        await store.delete(secret())
        await until(lambda: known(followed) == KnownSecret(True))
        await store.create(secret())
        await until(lambda: known(followed).values == {"rack1": b"s3cret"})


async def test_a_secret_that_is_not_there_is_known_not_to_be() -> None:
    async with following(SecretsStore(), "bgp") as followed:
        assert followed.waiting and not known(followed).answered
        await until(lambda: known(followed) == KnownSecret(True))
        assert not followed.waiting


async def test_a_right_that_is_lost_keeps_the_values_and_says_why_and_returns() -> None:
    store = SecretsStore(secret())
    async with following(store, "bgp") as followed:
        await until(lambda: known(followed).values)
        store.locked.set()
        await until(lambda: known(followed) == KnownSecret(True, {"rack1": b"s3cret"}, LACKING))
        await store.replace(secret(value="bjN3"))
        store.locked.clear()
        await until(lambda: known(followed) == KnownSecret(True, {"rack1": b"n3w"}))


async def test_a_secret_that_went_while_it_could_not_be_read_is_gone_when_the_right_returns() -> None:
    store = SecretsStore(secret())
    async with following(store, "bgp") as followed:
        await until(lambda: known(followed).values)
        store.locked.set()
        await until(lambda: known(followed).trouble)
        await store.delete(secret())
        store.locked.clear()
        await until(lambda: known(followed) == KnownSecret(True))


async def test_a_secret_that_may_never_be_read_has_no_values() -> None:
    store = SecretsStore(secret())
    store.locked.set()
    async with following(store, "bgp") as followed:
        await until(lambda: known(followed) == KnownSecret(True, None, LACKING))
        assert not followed.waiting


async def test_a_record_that_is_spoilt_keeps_the_values_and_says_why() -> None:
    store = SecretsStore(secret())
    async with following(store, "bgp") as followed:
        await until(lambda: known(followed).values)
        store.spoil(secret())
        await until(lambda: known(followed).trouble)
        assert known(followed).values == {"rack1": b"s3cret"}


async def test_a_store_that_does_not_answer_is_waited_for_only_so_long() -> None:
    store = SecretsStore(secret())
    store.answers.clear()
    async with following(store, "bgp", seconds=0.01) as followed:
        assert followed.waiting
        await until(lambda: not followed.waiting)
        assert not known(followed).answered
        store.answers.set()
        await until(lambda: known(followed).values)


async def test_what_is_wanted_again_before_it_was_let_go_is_still_known() -> None:
    async with following(SecretsStore(secret()), "bgp") as followed:
        await until(lambda: known(followed).values)
        followed.want({})
        followed.want(naming("bgp"))
        assert known(followed).values and not followed.waiting
        await asyncio.sleep(0)
        assert known(followed).values


@pytest.mark.parametrize("locked", [True, False], ids=["forbidden", "unanswered"])
async def test_an_agent_that_starts_while_a_secret_cannot_be_read_knows_the_values_of_the_one_before(
    tmp_path: Path, locked: bool
) -> None:
    note = tmp_path / "note"
    store = SecretsStore(secret())
    async with following(store, "bgp", note=note) as followed:
        await until(lambda: known(followed).values)
        assert note.stat().st_mode & 0o777 == 0o600
    if locked:
        store.locked.set()
    else:
        store.answers.clear()
    async with following(store, "bgp", note=note, seconds=0.01) as followed:
        assert followed.waiting
        await until(lambda: not followed.waiting)
        assert known(followed) == KnownSecret(locked, {"rack1": b"s3cret"}, LACKING if locked else "")


async def test_a_value_that_is_gone_or_that_no_session_names_is_noted_no_longer(tmp_path: Path) -> None:
    note = tmp_path / "note"
    store = SecretsStore(secret("a"), secret("b"))
    async with following(store, "a", "b", note=note) as followed:
        await until(lambda: known(followed, "a").values and known(followed, "b").values)
        assert values_of(note.read_text(), "kube-system").keys() == {"a", "b"}
        followed.want(naming("b"))
        assert values_of(note.read_text(), "kube-system").keys() == {"b"}
        await store.delete(secret("b"))
        await until(lambda: note.read_text() == "")


async def test_no_line_of_the_log_holds_a_value(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    store = SecretsStore(secret())
    async with following(store, "bgp") as followed:
        await until(lambda: known(followed).values)
    assert "Secret kube-system/bgp is read" in caplog.text
    assert "s3cret" not in caplog.text and "czNjcmV0" not in caplog.text
