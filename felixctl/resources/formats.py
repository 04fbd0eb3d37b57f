"""The formats in which resources are printed: `-o wide|yaml|json|name|jsonpath=…|custom-columns=…`.

Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from felixctl.resources import jsonpath, kinds
from felixctl.resources.jsonpath import TemplateError
from felixctl.resources.kinds import Noun
from felixctl.tables import plain

TABLES = ("ps", "wide")
WHOLE = ("yaml", "json", "name")
TEMPLATES = ("jsonpath", "custom-columns")
UNSUPPORTED = ("go-template", "go-template-file", "jsonpath-file", "jsonpath-as-json", "custom-columns-file")

ABSENT = "<none>"

Json = dict[str, Any]


class FormatError(Exception):
    """There is no such format, or its template is malformed; the message says what is allowed."""


def checked(written: str) -> tuple[str, str]:
    """Return the format's name and its template, empty where it has none. Raises FormatError."""
    name, equals, template = written.partition("=")
    if name in TEMPLATES:
        if not template:
            raise FormatError(f"-o {written}: a template is missing; write {_EXAMPLES[name]}")
        _check_template(name, template)
    elif equals or name not in (*TABLES, *WHOLE):
        instead = f"; use jsonpath instead, as in {_EXAMPLES['jsonpath']}" if name in UNSUPPORTED else ""
        known = ", ".join((*TABLES, *WHOLE, *(f"{known}=…" for known in TEMPLATES)))
        raise FormatError(f"-o {written}: the format is not known{instead or f': use {known}'}")
    return name, template


_EXAMPLES = {
    "jsonpath": "-o jsonpath='{.items[*].metadata.name}'",
    "custom-columns": "-o custom-columns=NAME,CIDR or NAME:.metadata.name,CIDR:.spec.cidr",
}


def _check_template(name: str, template: str) -> None:
    try:
        if name == "jsonpath":
            jsonpath.printed(template, {})
        else:
            [jsonpath.path(_bare(path)) for _, path in _pairs(template) if path]
    except TemplateError as error:
        raise FormatError(f"-o {name}: {error}") from None


def columns(noun: Noun, views: Sequence[Json], template: str, cluster_as: int) -> str:
    """Return a table of chosen columns: `CIDR` is the kind's own column, `CIDR:.spec.cidr` a field by its path.

    Raises FormatError: the kind has no such column.
    """
    pairs = _pairs(template)
    known = {column.heading: column for column in (*noun.columns, *noun.wide)}
    if unknown := [heading for heading, path in pairs if not path and heading not in known]:
        raise FormatError(
            f"-o custom-columns: {noun.kind} has no column {', '.join(unknown)}; it has {', '.join(known)},"
            f" and any field as HEADING:.spec.field"
        )
    rows = [
        tuple(_cell(view, path) if path else known[heading].cell(view, cluster_as) for heading, path in pairs)
        for view in views
    ]
    return plain([heading for heading, _ in pairs], rows)


def _pairs(template: str) -> list[tuple[str, str]]:
    """Return headings and paths. A heading without a path is a column of the kind, so it is put in capitals."""
    found = []
    for entry in template.split(","):
        heading, colon, path = entry.partition(":")
        found.append((heading.strip() if colon else heading.strip().upper(), path.strip()))
    return found


def _cell(view: Json, path: str) -> str:
    values = jsonpath.found(jsonpath.path(_bare(path)), view)
    return ",".join(map(jsonpath.text_of, values)) if values else ABSENT


def _bare(path: str) -> str:
    return path.removeprefix("{").removesuffix("}")


def rendered(
    name: str, template: str, noun: Noun, views: Sequence[Json], whole: Any, *, namespaces: bool, cluster_as: int
) -> str:
    """Return resources in a format that `checked` returned.

    Raises FormatError: the kind has no such column, or a resource is nested too deeply to be printed.
    """
    try:
        return _rendered(name, template, noun, views, whole, namespaces, cluster_as)
    except RecursionError:
        raise FormatError(f"-o {name}: a resource is nested too deeply to be printed") from None


def _rendered(
    name: str, template: str, noun: Noun, views: Sequence[Json], whole: Any, namespaces: bool, cluster_as: int
) -> str:
    from felixctl.resources.documents import to_json, to_yaml  # a table needs no YAML

    match name:
        case "yaml":
            return to_yaml(whole)
        case "json":
            return to_json(whole)
        case "name":
            return "".join(f"{noun.aliases[1]}/{seen['metadata']['name']}\n" for seen in views)
        case "jsonpath":
            return jsonpath.printed(template, whole)
        case "custom-columns":
            return columns(noun, views, template, cluster_as)
        case _:
            wide = name == "wide"
            return plain(*kinds.table(noun, views, wide=wide, namespaces=namespaces, cluster_as=cluster_as))
