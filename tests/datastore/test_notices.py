from __future__ import annotations

from datastore.notices import Notice

FILTERS = Notice("BGPPeer", "rack1", "spec.filters", "BGP filters are not implemented", "the session is not brought up")


def test_a_notice_names_object_field_reason_and_effect() -> None:
    assert str(FILTERS) == (
        'BGPPeer "rack1" spec.filters: BGP filters are not implemented; the session is not brought up'
    )
    assert str(Notice("Tier", "default", "", "kept", "nothing")) == 'Tier "default": kept; nothing'


def test_a_notice_survives_json() -> None:
    assert Notice.from_json(FILTERS.to_json()) == FILTERS
