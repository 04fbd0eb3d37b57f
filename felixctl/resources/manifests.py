"""Which objects the documents of a file mean: by kind, namespace and name.

Pure. What is wrong with one document does not hide what is wrong with the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from datastore.defaults import DEFAULT_NAMESPACE
from datastore.record import Resource
from datastore.resources import KINDS
from felixctl.errors import RejectedError
from felixctl.resources import kinds, view
from felixctl.resources.documents import Document
from felixctl.resources.kinds import Noun, UnknownKindError
from felixctl.resources.view import Json
from felixctl.resources.written_numbers import as_written
from felixctl.resources.yes_no import settled

_OUR_GROUPS = tuple(version.partition("/")[0] for version in (view.SHOWN, view.STORED))


class ObjectKey(Struct, frozen=True):
    """Which object is meant: its kind, namespace and name."""

    noun: Noun
    name: str
    namespace: str | None

    @property
    def model(self) -> type[Resource]:
        return KINDS[self.noun.stored_kind]

    def __str__(self) -> str:
        within = f" of namespace {self.namespace}" if self.namespace else ""
        return f'{self.noun.kind} "{self.name}"{within}'


class Manifest(Struct, frozen=True):
    """One resource as written in a file, and the place in it."""

    key: ObjectKey
    written: Mapping[str, Any]
    place: str


class FileContents(Struct, frozen=True):
    """What files say: the resources in them, a sentence for each mistake, and one for each document left out."""

    manifests: list[Manifest]
    mistakes: list[str]
    skipped: list[str]


class _UnsupportedError(Exception):
    """The document may be right, and is none that felixctl can write; the message says why."""


def key_of(noun: Noun, name: str, namespace: str | None) -> ObjectKey:
    """Return the object that a command line names; the namespace is ignored for kinds that have none."""
    return ObjectKey(noun, name, (namespace or DEFAULT_NAMESPACE) if noun.namespaced else None)


def manifests_in(
    documents: Iterable[Document], namespace: str | None = None, *, skip_unsupported: bool = False
) -> FileContents:
    """Return the resource in each document; `namespace` is that of documents that name none.

    A document of a kind that is not ours, or that only IPAM writes, is a mistake or, if so wished, left out.
    """
    firsts: dict[ObjectKey, Manifest] = {}
    batch = FileContents([], [], [])
    for document in documents:
        try:
            one = _manifest(document, namespace)
        except _UnsupportedError as reason:
            hint = "" if skip_unsupported else " (--skip-unsupported leaves it out)"
            told = batch.skipped if skip_unsupported else batch.mistakes
            told.append(f"{document.place}: {reason}{hint}")
        except RejectedError as error:
            batch.mistakes.extend(f"{document.place}: {sentence}" for sentence in error.sentences)
        else:
            batch.manifests.append(one)
            first = firsts.setdefault(one.key, one)
            if first is not one:
                batch.mistakes.append(f"{one.place}: {one.key} is given twice, first in {first.place}")
    return batch


def _manifest(document: Document, namespace: str | None) -> Manifest:
    body = document.body
    if not {"apiVersion", "kind"} & body.keys():
        raise RejectedError(["apiVersion and kind are missing, so this is no resource"])
    version, kind = _text(body, "apiVersion"), _text(body, "kind")
    noun = _noun(kind, version)
    body = settled(body, KINDS[noun.stored_kind])
    name = _text(body, "metadata", "name")
    if noun.written_by:
        raise _UnsupportedError(f'{kind} "{name}" is written by {noun.written_by} only')
    key = key_of(noun, name, _namespace(noun, body["metadata"], namespace))
    metadata = {**body["metadata"], "namespace": key.namespace} if key.namespace else body["metadata"]
    return Manifest(key, {**body, "metadata": metadata}, document.place)


def _text(body: Json, *path: str) -> str:
    """Return the text at this path. Raises RejectedError: there is none."""
    value: Any = body
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if value is None:
        raise RejectedError([f"{'.'.join(path)} is missing"])
    if not isinstance(value, str):
        raise RejectedError([not_text(".".join(path), value)])
    return value


def not_text(field: str, value: object) -> str:
    """Return the sentence about a value that should be a text, and the cure."""
    match value:
        case bool():
            return f'{field} is {str(value).lower()}, a boolean: put it in quotes, "{str(value).lower()}"'
        case int() | float():
            return f'{field} is {as_written(value)}, a number: put it in quotes, "{as_written(value)}"'
        case None:
            return f'{field} is null: an empty text is ""'
        case _:
            return f"{field} is a {'list' if isinstance(value, list) else 'mapping'}, and should be a text"


def _noun(kind: str, version: str) -> Noun:
    group = version.partition("/")[0] if "/" in version else ""
    try:
        noun = kinds.noun_of_kind(kind)
    except UnknownKindError as error:
        why = str(error) if group in _OUR_GROUPS else f"{kind} of {version} is no resource of Calico's"
        raise _UnsupportedError(why) from None
    known = _versions(noun)
    if version in known:
        return noun
    if group and group not in _OUR_GROUPS:
        raise _UnsupportedError(f"{kind} of {version} is no resource of Calico's; that one is of {known[0]}")
    raise RejectedError([f"apiVersion {version!r} is not known for {kind}: use {known[0]}"])


def _versions(noun: Noun) -> tuple[str, ...]:
    match noun.kind:
        case "Node":
            return (view.SHOWN, view.CORE)
        case "WorkloadEndpoint":
            return (view.SHOWN,)
        case _:
            return (view.SHOWN, view.STORED)


def _namespace(noun: Noun, metadata: Json, wanted: str | None) -> str | None:
    """Return the namespace that is meant. Raises RejectedError: the document names another, or must not name one."""
    written = metadata.get("namespace")
    if written in (None, ""):
        return wanted
    if not isinstance(written, str):
        raise RejectedError([not_text("metadata.namespace", written)])
    if not noun.namespaced:
        raise RejectedError([f"metadata.namespace is {written!r}, and a {noun.kind} is in no namespace: leave it out"])
    if wanted and written != wanted:
        raise RejectedError([f"metadata.namespace is {written!r}, and -n asks for {wanted!r}"])
    return written
