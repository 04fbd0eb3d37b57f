from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from datastore.field_types import AsNumber, Cidr, CidrOrAddress, Items, SelectorText, StringMap


@pytest.mark.parametrize(
    ("form", "written"),
    [(Cidr, "FD00::/48"), (CidrOrAddress, "192.0.2.1"), (AsNumber, "1.10"), (SelectorText, 'has(a)  && b == "c"')],
)
def test_a_record_keeps_what_was_written(form: type[str], written: str) -> None:
    assert TypeAdapter(form).validate_python(written) == written


@pytest.mark.parametrize(("form", "written"), [(Cidr, "192.0.2.1/24"), (AsNumber, 0), (SelectorText, "has(")])
def test_what_has_no_value_is_refused(form: type[object], written: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(form).validate_python(written)


def test_a_list_outside_is_a_tuple_inside_and_no_map_is_an_empty_one() -> None:
    assert TypeAdapter(Items[int]).validate_json("[1, 2]") == (1, 2)
    assert TypeAdapter(StringMap).validate_python(None) == {}
