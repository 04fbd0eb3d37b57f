"""Which fields of a kind are obeyed, as a table; what a resource says beyond that, as notices.

Pure. Only what was written counts: a default that nobody wrote yields nothing, nor does a field that is null or empty.
A rule covers what is nested below its field, so that tables name nested fields only below obeyed ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from datastore.notices import Notice
from datastore.record import Record, Resource


@dataclass(frozen=True, slots=True)
class Obeyed:
    """The field does what Calico's documentation says of it."""


@dataclass(frozen=True, slots=True)
class NotObeyed:
    """The field is accepted, kept and not acted on. reason and effect as in `Notice`.

    when: whether a value differs from what is done anyway; values of which it is false yield no notice.
    """

    reason: str
    effect: str
    when: Callable[[Any], bool] = field(default=lambda value: True)


Rule = Obeyed | NotObeyed
OBEYED = Obeyed()

_UNKNOWN = NotObeyed("this version does not know the field", "it is kept as written and has no effect")


@dataclass(frozen=True, slots=True)
class FieldRules:
    """What becomes of an object of one kind.

    fields: a rule for each field of the spec by its path (`spec.password`), list indices left out.
    other_fields: rules for fields that Calico has and the kind's model here has not.
    whole: set where no object of the kind is acted on at all; it is the object's only notice.
    reports_unknown: false where others own the object and write fields for themselves.
    """

    fields: Mapping[str, Rule] = field(default_factory=dict)
    other_fields: Mapping[str, NotObeyed] = field(default_factory=dict)
    whole: NotObeyed | None = None
    reports_unknown: bool = True

    def notices(self, resource: Resource) -> tuple[Notice, ...]:
        """Return one notice for each field that was written and is not obeyed, in the order of the model."""
        if self.whole is not None:
            return (notice_of(resource, "", self.whole),)
        found = dict(self._not_obeyed(resource.spec, "spec"))
        if self.reports_unknown:
            found |= {key: _UNKNOWN for key in resource.model_extra or {} if key != "status"}
        return tuple(notice_of(resource, path, rule) for path, rule in found.items())

    def _not_obeyed(self, record: Record, path: str) -> Iterator[tuple[str, NotObeyed]]:
        for name, model_field in type(record).model_fields.items():
            value = getattr(record, name)
            if name not in record.model_fields_set or _is_empty(value):
                continue
            below = f"{path}.{model_field.alias or name}"
            match self.fields[below]:
                case NotObeyed() as rule:
                    if rule.when(value):
                        yield below, rule
                case Obeyed():
                    for part in value if isinstance(value, tuple) else (value,):
                        if isinstance(part, Record):
                            yield from self._not_obeyed(part, below)
        for key, value in (record.model_extra or {}).items():
            rule = self.other_fields.get(f"{path}.{key}", _UNKNOWN)
            if (rule is not _UNKNOWN and not _is_empty(value) and rule.when(value)) or (
                rule is _UNKNOWN and self.reports_unknown
            ):
                yield f"{path}.{key}", rule


def notice_of(resource: Resource, path: str, rule: NotObeyed) -> Notice:
    """Return the notice that a rule yields for one field of an object; an empty path is the object as a whole."""
    name = f"{resource.namespace}/{resource.name}" if resource.namespace else resource.name
    return Notice(resource.KIND, name, path, rule.reason, rule.effect)


def _is_empty(value: object) -> bool:
    """Whether a written value says nothing. False and 0 say something."""
    return value is None or (isinstance(value, str | tuple | list | dict) and not value)
