"""Read the resources that `-f` names: files, folders, the standard input."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from felixctl.errors import MISUSED, CommandError, RejectedError
from felixctl.resources import plan
from felixctl.resources.documents import Document, MalformedDocumentError, read
from felixctl.resources.plan import Manifest

SUFFIXES = (".yaml", ".yml", ".json")


def read_manifests(files: Sequence[str] | None, recursive: bool, namespace: str | None) -> list[Manifest]:
    """Return the resources in the files. Raises CommandError: no file is named, or something in one is no resource."""
    if not files:
        raise CommandError("no file is named: give -f FILE, or -f - for the standard input", MISUSED)
    try:
        documents = [document for file in files for document in _documents(file, recursive)]
        found = plan.manifests_in(documents, namespace)
    except (MalformedDocumentError, RejectedError) as error:
        sentences = error.sentences if isinstance(error, RejectedError) else (str(error),)
        raise CommandError((*sentences, "nothing was written")) from None
    if not found:
        raise CommandError(f"read {', '.join(files)}: there is no resource in it, so nothing was written")
    return found


def _documents(file: str, recursive: bool) -> list[Document]:
    if file == "-":
        return read(_text("standard input", sys.stdin.read), "standard input")
    paths = _paths(Path(file), recursive)
    return [
        document
        for path in paths
        for document in read(_text(str(path), partial(path.read_text, encoding="utf-8")), str(path))
    ]


def _paths(path: Path, recursive: bool) -> list[Path]:
    if not path.is_dir():
        return [path]
    inside = path.rglob("*") if recursive else path.iterdir()
    return sorted(found for found in inside if found.suffix in SUFFIXES and found.is_file())


def _text(name: str, reading: Callable[[], str]) -> str:
    try:
        return reading()
    except OSError as error:
        raise CommandError(f"read {name}: {error.strerror}; nothing was written") from None
    except UnicodeDecodeError:
        raise CommandError(f"read {name}: it is not UTF-8 text; nothing was written") from None
