"""What every resource is: a frozen value that reads a record and writes the same record back.

Pure. A field that was absent stays absent, an unknown field is kept, and no default is ever written out: an attribute
returns its default, the record does not hold it. Lists are tuples; mappings must not be changed in place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from datastore.errors import Invalid
from datastore.field_types import Items, StringMap
from datastore.names import ENCAPSULATED

CRD = "crd.projectcalico.org/v1"
V3 = "projectcalico.org/v3"


class Record(BaseModel):
    """A part of a resource."""

    # frozen models hash by their fields, which mappings forbid: resources are stored by key, never in sets.
    model_config = ConfigDict(frozen=True, extra="allow", strict=True, defer_build=True)

    def to_json(self) -> dict[str, Any]:
        """Return the record: what was read, key for key, with what was changed since."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with these fields (Python names) changed; None leaves the field out of the record.

        The values are not validated again.
        """
        dropped = [name for name, value in changes.items() if value is None]
        for name in dropped:
            changes[name] = type(self).model_fields[name].get_default(call_default_factory=True)
        copy = self.model_copy(update=changes)
        copy.model_fields_set.difference_update(dropped)
        return copy


_NAME = re.compile(r"[a-z0-9._-]{1,253}", re.ASCII)


def is_name(text: str) -> bool:
    """Whether an object can have this name."""
    return _NAME.fullmatch(text) is not None


def _checked_name(name: str) -> str:
    if not is_name(name):
        raise ValueError(f'"{name}" is not a name (1 to 253 of lower-case letters, digits, "-", "." and "_")')
    return name


class Metadata(Record):
    """An object's identity. `resource_version` is its revision, which only stores write."""

    name: Annotated[str, AfterValidator(_checked_name)]
    namespace: str | None = None
    resource_version: str | None = Field(default=None, alias="resourceVersion")
    uid: str | None = None
    labels: StringMap = Field(default_factory=dict)
    annotations: StringMap = Field(default_factory=dict)
    creation_timestamp: str | None = Field(default=None, alias="creationTimestamp")
    deletion_timestamp: str | None = Field(default=None, alias="deletionTimestamp")
    finalizers: Items[str] = ()


class Spec(Record):
    """The contents of an object. A kind without declared fields keeps whatever is in it."""


class Resource(Record):
    """One object of the datastore.

    `labels`, `annotations` and `created` include those that libcalico keeps in one annotation; `metadata` is the record
    as it was read.
    """

    KIND: ClassVar[str]
    SPEC: ClassVar[type[Spec]] = Spec
    PLURAL: ClassVar[str]
    API_VERSION: ClassVar[str] = CRD
    API_VERSIONS: ClassVar[tuple[str, ...]] = (CRD, V3)
    ALIASES: ClassVar[tuple[str, ...]] = ()
    """Other values of `kind` that mean the same."""
    NAMESPACED: ClassVar[bool] = False
    NODE_FIELD: ClassVar[str] = ""
    """Where the record names the node it belongs to, such as `spec.node`; empty: it names none."""
    ALLOW_UNKNOWN: ClassVar[bool] = True
    """Whether the spec may hold fields that are not declared here without that being a likely typing error."""

    api_version: str | None = Field(default=None, alias="apiVersion")
    kind: str | None = None
    metadata: Metadata
    spec: Spec = Field(default_factory=Spec)

    @classmethod
    def make(
        cls,
        name: str,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        **spec: Any,
    ) -> Self:
        """Return a new object with these fields of its spec, by their outside or their Python names.

        Raises Invalid: as `read`, and for a fault. Raises TypeError: the kind has no such field.
        """
        fields = cls.SPEC.model_fields
        outside = {field.alias or python for python, field in fields.items()}
        written = {fields[key].alias or key if key in fields else key: value for key, value in spec.items()}
        if not cls.ALLOW_UNKNOWN and (unknown := written.keys() - outside):
            raise TypeError(f"{cls.KIND} has no field {', '.join(sorted(unknown))}")
        metadata = {"name": name, "namespace": namespace, "labels": labels, "annotations": annotations}
        made = cls.read(
            {
                "apiVersion": cls.API_VERSION,
                "kind": cls.KIND,
                "metadata": {
                    key: value if isinstance(value, str) else dict(value)
                    for key, value in metadata.items()
                    if value is not None
                },
                "spec": {key: value for key, value in written.items() if value is not None},
            }
        )
        if made.fault:
            raise Invalid(f"{_subject(cls, name)}: {made.fault}")
        return made

    @classmethod
    def read(cls, record: object) -> Self:
        """Return the object that a decoded record of this kind holds.

        Raises Invalid: one sentence for each thing that is wrong, naming the object and the field.
        """
        try:
            return cls.model_validate(record)
        except ValidationError as error:
            raise Invalid(_message(cls, record, error)) from None
        except UnicodeEncodeError as error:  # half of a surrogate pair, which pydantic cannot quote in its refusal
            raise Invalid(f"{cls.KIND}: {ascii(error.object)[:80]} is not Unicode text") from None

    @classmethod
    def read_text(cls, text: str | bytes, name: str = "") -> Self:
        """Return the object that a JSON text holds; as `read`, and three times as fast as decoding first.

        name: what a refusal calls the object where the text does not say it.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            try:
                record = json.loads(text)
            except ValueError:
                raise Invalid(f"{_subject(cls, name)}: its text is not JSON") from None
            except RecursionError:
                raise Invalid(f"{_subject(cls, name)}: its text is nested too deeply") from None
            raise Invalid(_message(cls, record, error, name)) from None

    def to_text(self) -> str:
        """Return the record as JSON, keys in one order: equal objects, equal text."""
        return self.model_dump_json(by_alias=True, exclude_unset=True)

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def namespace(self) -> str | None:
        return self.metadata.namespace

    @property
    def revision(self) -> str | None:
        """The store's version of this object; None if it comes from no store."""
        return self.metadata.resource_version

    @property
    def fault(self) -> str:
        """What is refused where it is written, as a clause; the rest of a record that has it counts all the same."""
        return ""

    @property
    def deleted(self) -> bool:
        """Whether it is flagged as deleted: present in the store, but absent for every reader."""
        return False

    @property
    def labels(self) -> Mapping[str, str]:
        """The object's labels; those that libcalico put into its annotation win."""
        return self.metadata.labels | _strings(self._encapsulated.get("labels"))

    @property
    def annotations(self) -> Mapping[str, str]:
        own = {key: text for key, text in self.metadata.annotations.items() if key != ENCAPSULATED}
        return own | _strings(self._encapsulated.get("annotations"))

    @property
    def created(self) -> str | None:
        """When the object was made, as RFC 3339 text; libcalico's time wins where there is one."""
        written = self._encapsulated.get("creationTimestamp")
        return written if isinstance(written, str) else self.metadata.creation_timestamp

    @property
    def _encapsulated(self) -> Mapping[str, Any]:
        written = self.metadata.annotations.get(ENCAPSULATED)
        if written is None:
            return {}
        try:
            found = json.loads(written)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def with_spec(self, **changes: Any) -> Self:
        """Return a copy with these fields of the spec (Python names) changed, unchecked; None leaves one out."""
        return self.model_copy(update={"spec": self.spec.replace(**changes)})

    def with_metadata(self, **changes: Any) -> Self:
        """Return a copy with these fields of the metadata (Python names) changed, unchecked; None leaves one out."""
        return self.model_copy(update={"metadata": self.metadata.replace(**changes)})

    def unknown_fields(self) -> list[str]:
        """Return the paths of spec fields that no known version has: they are kept, but are probably typing errors."""
        return [] if self.ALLOW_UNKNOWN else sorted(_extras(self.spec, "spec"))

    @model_validator(mode="after")
    def _is_of_this_kind(self) -> Self:
        if self.kind is not None and self.kind not in (self.KIND, *self.ALIASES):
            raise ValueError(f'kind "{self.kind}" is not {self.KIND}')
        if self.api_version is not None and self.api_version not in self.API_VERSIONS:
            known = " or ".join(self.API_VERSIONS)
            raise ValueError(f'apiVersion "{self.api_version}" is not known for this kind: use {known}')
        return self

    @model_validator(mode="after")
    def _has_the_namespace_its_kind_needs(self) -> Self:
        if self.NAMESPACED and not self.metadata.namespace:
            raise ValueError("metadata.namespace is required")
        return self


# Each of forty kinds would have pydantic evaluate these again. It knows by now which names of the class are no fields.
for _declared in Resource.__class_vars__:
    Resource.__annotations__.pop(_declared, None)


def _strings(found: object) -> dict[str, str]:
    return {key: text for key, text in found.items() if isinstance(text, str)} if isinstance(found, dict) else {}


def _extras(record: Record, path: str) -> list[str]:
    found = [f"{path}.{key}" for key in record.model_extra or ()]
    for name, field in type(record).model_fields.items():
        value = getattr(record, name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, Record):
                found += _extras(part, f"{path}.{field.alias or name}")
    return found


def _subject(kind: type[Resource], name: str) -> str:
    return f'{kind.KIND} "{name}"' if name else kind.KIND


def _message(kind: type[Resource], record: object, error: ValidationError, name: str = "") -> str:
    """Return what is wrong with the record, one clause for each error."""
    match record:
        case {"metadata": {"name": str(written)}}:
            name = written
        case _:
            pass
    return f"{_subject(kind, name)}: {'; '.join(dict.fromkeys(map(_clause, error.errors())))}"


def _clause(error: Any) -> str:
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).lstrip(".")
    try:
        given = json.dumps(error["input"], ensure_ascii=False, default=str)
    except RecursionError:
        given = "…" * 80  # too deep to be shown
    field_given = f"{field} {given}" if len(given) < 80 else field
    match error["type"]:
        case "missing":
            return f"{field} is required"
        case "value_error" if field in ("", "spec", "metadata"):
            return str(error["ctx"]["error"])
        case "value_error":
            return f"{field} {error['ctx']['error']}"
        case "literal_error":
            return f"{field_given} is not {error['ctx']['expected']}"
        case "model_type" | "model_attributes_type":
            return f"{field or 'the record'} is not a mapping"
        case kind if kind in _WORDS:
            return f"{field_given} {_WORDS[kind].format(**error.get('ctx', {}))}{_cure(kind, error['input'])}"
        case _:
            return f"{field_given}: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _cure(kind: str, given: object) -> str:
    match given:
        case bool() | int() | float() if kind == "string_type":
            return ": put it in quotes"
        case str() if (kind == "int_type" and given.isdecimal()) or (
            kind == "bool_type" and given in ("true", "false")
        ):
            return ": leave out the quotes"
        case _:
            return ""


_WORDS = {
    "string_type": "is not a text",
    "int_type": "is not a whole number",
    "int_from_float": "is not a whole number",
    "bool_type": "is not true or false",
    "tuple_type": "is not a list",
    "dict_type": "is not a mapping",
    "greater_than_equal": "is less than {ge}",
    "less_than_equal": "is more than {le}",
    "string_too_long": "is longer than {max_length} characters",
    "too_long": "has more than {max_length} entries",
    "too_short": "has fewer than {min_length} entries",
}
