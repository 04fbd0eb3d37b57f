"""Rules by field: what of an object is not obeyed."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from pydantic import Field

from datastore.field_rules import OBEYED, FieldRules, NotObeyed, When
from datastore.record import Record, Resource, Spec

REASON, EFFECT = "cables are not painted", "they stay grey"


class End(Record):
    port: int = 0
    label: str | None = None


class CableSpec(Spec):
    colour: str = "grey"
    long: bool = Field(default=False, alias="isLong")
    ends: tuple[End, ...] = Field(default=(), strict=False)


class Cable(Resource):
    KIND: ClassVar[str] = "Cable"
    PLURAL: ClassVar[str] = "cables"
    SPEC: ClassVar[type[Spec]] = CableSpec
    spec: CableSpec = Field(default_factory=CableSpec)


NOT_PAINTED = NotObeyed(REASON, EFFECT, unless=("grey", "gray"))
RULES = FieldRules(
    {
        "spec.colour": NOT_PAINTED,
        "spec.isLong": NotObeyed("all cables are short", "it is short", when=When("true", lambda long: bool(long))),
        "spec.ends": OBEYED,
        "spec.ends.port": OBEYED,
        "spec.ends.label": NotObeyed("labels are not printed", "the end has none"),
    },
    other_fields={
        "spec.weight": NotObeyed("nothing is weighed", "it may break", unless=(1,)),
        "spec.made*": OBEYED,
    },
)


def fields(rules: FieldRules, **spec: Any) -> list[str]:
    return [notice.field for notice in rules.notices(Cable.make("c1", **spec))]


def test_a_notice_names_the_object_the_field_and_what_happens_instead() -> None:
    (notice,) = RULES.notices(Cable.make("c1", "lab", colour="red"))
    assert str(notice) == 'Cable "lab/c1" spec.colour: cables are not painted; they stay grey'


def test_a_default_that_nobody_wrote_yields_nothing() -> None:
    assert fields(FieldRules({**RULES.fields, "spec.colour": NotObeyed(REASON, EFFECT)})) == []


def test_a_value_that_changes_nothing_yields_nothing() -> None:
    assert fields(RULES, colour="grey", isLong=False, weight=1) == []
    assert fields(RULES, colour="gray", madeIn="1994") == []


def test_a_field_that_is_written_and_empty_yields_nothing() -> None:
    assert fields(RULES, ends=[], colour="") == []
    assert RULES.notices(Cable.read({"metadata": {"name": "c"}, "spec": {"ends": [{"label": None}]}})) == ()


def test_fields_of_nested_records_are_found_once_however_many_records_there_are() -> None:
    assert fields(RULES, ends=[{"port": 1}, {"label": "a"}, {"label": "b"}]) == ["spec.ends.label"]


def test_a_rule_on_a_field_covers_what_is_below_it() -> None:
    rules = FieldRules({**RULES.fields, "spec.ends": NotObeyed("cables have no ends", "it is a ring")})
    assert fields(rules, ends=[{"label": "a", "unknown": 1}]) == ["spec.ends"]


def test_unknown_fields_yield_a_notice_wherever_they_stand() -> None:
    record = {"metadata": {"name": "c"}, "spec": {"color": "", "ends": [{"prot": 1}]}, "specs": {}, "status": {}}
    found = RULES.notices(Cable.read(record))
    assert [notice.field for notice in found] == ["spec.ends.prot", "spec.color", "specs"]
    assert {notice.reason for notice in found} == {"this version does not know the field"}


def test_a_key_that_would_break_a_line_is_quoted() -> None:
    assert fields(RULES, **{"a\nb": 1}) == ["spec.'a\\nb'"]
    assert fields(RULES, **{"": 1}) == ["spec.''"]


def test_an_object_that_others_own_yields_no_notice_of_unknown_fields() -> None:
    assert fields(FieldRules(RULES.fields, reports_unknown=False), color="red", colour="red") == ["spec.colour"]


def test_a_known_field_of_calicos_has_a_reason_of_its_own() -> None:
    (notice,) = RULES.notices(Cable.make("c1", weight=2))
    assert notice.reason == "nothing is weighed"


def test_an_object_whose_name_is_not_read_yields_one_notice() -> None:
    rules = FieldRules(RULES.fields, read_names=("default", "node."))
    assert rules.notices(Cable.make("default")) == rules.notices(Cable.make("node.n1")) == ()
    (notice,) = rules.notices(Cable.make("nodes", colour="red"))
    assert (notice.field, notice.reason) == ("", "objects of this kind are read by name: default and node.NAME")


def test_an_object_no_part_of_which_is_obeyed_yields_one_notice() -> None:
    assert fields(FieldRules(whole=NotObeyed(REASON, EFFECT)), colour="red", color=1) == [""]


def test_a_field_without_a_rule_is_an_error_not_a_silence() -> None:
    with pytest.raises(KeyError):
        fields(FieldRules(), colour="red")
