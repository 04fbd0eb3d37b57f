"""Whether a load is needed, or would end a session in vain."""

from __future__ import annotations

from msgspec.structs import replace

from bgp.load_changes import changing, ends_in_vain, exabgps_part
from bgp.speaker import ImportPolicy, Speaker
from tests.bgp.fabric import address, mesh


def with_password(speaker: Speaker, password: str) -> Speaker:
    first, *others = speaker.neighbours
    return replace(speaker, neighbours=(replace(first, password=password), *others))


LOADED = exabgps_part(mesh(1, [2, 3]))


def test_a_session_ends_in_vain_that_the_latest_configuration_has_as_it_is() -> None:
    for checked in (mesh(1, [3]), with_password(mesh(1, [2, 3]), "an0ther")):
        assert ends_in_vain(LOADED, exabgps_part(checked), mesh(1, [2, 3]))
        assert ends_in_vain(LOADED, exabgps_part(checked), mesh(1, [2, 4]))


def test_a_session_that_is_to_end_or_to_be_another_does_not_end_in_vain() -> None:
    without, changed = exabgps_part(mesh(1, [3])), exabgps_part(with_password(mesh(1, [2, 3]), "an0ther"))
    assert not ends_in_vain(LOADED, without, mesh(1, [3]))
    assert not ends_in_vain(LOADED, without, with_password(mesh(1, [2, 3]), "an0ther"))
    assert not ends_in_vain(LOADED, changed, with_password(mesh(1, [2, 3]), "a third"))


def test_what_ends_no_session_is_never_in_vain() -> None:
    assert not ends_in_vain(LOADED, exabgps_part(mesh(1, [2, 3, 4])), mesh(1, [2, 3]))
    assert not ends_in_vain(None, LOADED, mesh(1, [2]))


def test_it_is_known_which_sessions_are_to_come_up_anew_and_why() -> None:
    said = "it is about to come up anew with another"
    assert changing(LOADED, with_password(mesh(1, [2, 3, 4]), "s3cret")) == {address(2): f"{said} password"}
    three, four = mesh(1, [3, 4]).neighbours
    slower = replace(mesh(1, []), neighbours=(replace(three, hold_time=30, port=1790), four))
    assert changing(LOADED, slower) == {address(3): f"{said} port and another hold time"}
    assert changing(LOADED, mesh(1, [2, 3])) == changing(None, mesh(1, [2])) == {}


def test_no_setting_that_exabgp_reads_is_without_words() -> None:
    [peer] = LOADED.neighbours[:1]
    others = {"passive": not peer.passive, "families": ("ipv6",), "password": "s3cret"}
    for field in peer.__struct_fields__:
        other = replace(peer, **{field: others.get(field, "7")})
        wanted = replace(LOADED, neighbours=(other,))
        seen = other.address == peer.address and exabgps_part(wanted).neighbours != (peer,)
        assert list(changing(LOADED, wanted)) == [peer.address] * seen, field


def test_what_exabgp_does_not_read_is_no_reason_for_a_reload() -> None:
    speaker = mesh(1, [2])
    [peer] = speaker.neighbours
    same = replace(peer, kind="node", is_node=False, import_policy=ImportPolicy(7))
    assert exabgps_part(replace(speaker, neighbours=(same,))) == exabgps_part(speaker)
    assert exabgps_part(replace(speaker, neighbours=(replace(peer, hold_time=30),))) != exabgps_part(speaker)
