"""Which fields of a kind are obeyed, as a table, and the notices for the others that a resource sets.

Pure. Only fields that a record contains count: a default yields no notice, nor does a field that is null or empty. A
rule covers what is nested below its field, so that tables name nested fields only below obeyed ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from msgspec import Struct, field
from pydantic import BaseModel

from datastore.notices import Notice
from datastore.record import Resource


class Obeyed(Struct, frozen=True):
    """The field has the effect that Calico documents, or records a fact that requires no action."""


class When(NamedTuple):
    """A condition on a value. words: the values that meet it, such as "more than 4095 s"."""

    words: str
    holds: Callable[[Any], bool]


class NotObeyed(Struct, frozen=True):
    """The field is accepted and stored, and has no effect. reason and effect as in `Notice`.

    unless: values that match what is done anyway; they yield no notice.
    when: a condition that a value must meet to yield one, where the values can't be listed.
    """

    reason: str
    effect: str
    unless: tuple[object, ...] = ()
    when: When | None = None

    def applies(self, value: object) -> bool:
        return value not in self.unless and (self.when is None or self.when.holds(value))


Rule = Obeyed | NotObeyed
OBEYED = Obeyed()

UNKNOWN = NotObeyed("this version does not know the field", "it has no effect")


class FieldRules(Struct, frozen=True):
    """What becomes of an object of one kind.

    fields: a rule for each field of the spec by its path (`spec.password`), list indices left out.
    other_fields: rules for fields that Calico has and the kind's model here has not; `*` stands for anything.
    whole: set where no object of the kind is acted on at all; it is the object's only notice.
    read_names: the names of the objects that are read, where not all are; one that ends in "." is a prefix.
    reports_unknown: false where others own the object and write fields for themselves.
    """

    fields: Mapping[str, Rule] = field(default_factory=dict)
    other_fields: Mapping[str, Rule] = field(default_factory=dict)
    whole: NotObeyed | None = None
    read_names: tuple[str, ...] = ()
    reports_unknown: bool = True

    def notices(self, resource: Resource) -> tuple[Notice, ...]:
        """Return one notice for each field that was written and is not obeyed, in the order of the model."""
        whole = self.whole or self._not_read(resource.name)
        if whole is not None:
            return (notice_of(resource, "", whole),)
        found = dict(self.not_obeyed(resource.spec, "spec"))
        if self.reports_unknown:
            found |= {_printable(key): UNKNOWN for key in resource.model_extra or {} if key != "status"}
        return tuple(notice_of(resource, path, rule) for path, rule in found.items())

    def other_field(self, path: str) -> Rule | None:
        """Return the rule for a field that the model does not have; None: no version we know has it."""
        if (exactly := self.other_fields.get(path)) is not None:
            return exactly
        patterns = ((known, rule) for known, rule in self.other_fields.items() if "*" in known)
        return next((rule for known, rule in patterns if fnmatchcase(path, known)), None)

    def _not_read(self, name: str) -> NotObeyed | None:
        if not self.read_names or any(
            name.startswith(read) if read.endswith(".") else name == read for read in self.read_names
        ):
            return None
        names = " and ".join(f"{read}NAME" if read.endswith(".") else read for read in self.read_names)
        return NotObeyed(f"objects of this kind are read by name: {names}", "it is stored and has no effect")

    def not_obeyed(self, model: BaseModel, path: str = "") -> Iterator[tuple[str, NotObeyed]]:
        """Yield the fields that the model sets and that are not obeyed, by their path below `path`."""
        prefix = f"{path}." if path else ""
        written = model.model_fields_set
        for name, model_field in type(model).model_fields.items():
            if name not in written or _is_empty(value := getattr(model, name)):
                continue
            below = f"{prefix}{model_field.alias or name}"
            match self.fields[below]:
                case NotObeyed() as rule:
                    if rule.applies(value):
                        yield below, rule
                case Obeyed():
                    for part in value if isinstance(value, tuple) else (value,):
                        if isinstance(part, BaseModel):
                            yield from self.not_obeyed(part, below)
        for key, value in (model.model_extra or {}).items():
            below = f"{prefix}{_printable(key)}"
            match self.other_field(below):
                case NotObeyed() as rule:
                    if not _is_empty(value) and rule.applies(value):
                        yield below, rule
                case None if self.reports_unknown:
                    yield below, UNKNOWN


def notice_of(resource: Resource, path: str, rule: NotObeyed) -> Notice:
    """Return the notice that a rule yields for one field of an object; an empty path is the object as a whole."""
    name = f"{resource.namespace}/{resource.name}" if resource.namespace else resource.name
    return Notice(resource.KIND, name, path, rule.reason, rule.effect)


def _printable(key: str) -> str:
    """Return a key as it stands in a line of a log."""
    return key if key and key.isprintable() else repr(key)


def _is_empty(value: object) -> bool:
    """Whether a value is null or empty; False and 0 are neither."""
    return value is None or (isinstance(value, str | tuple | list | dict) and not value)
