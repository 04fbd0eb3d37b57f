"""Read the resources that `-f` names: files, folders, the standard input."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from felixctl.errors import MISUSED, CommandError, bounded
from felixctl.late_progress import Tell, counted, untold
from felixctl.resources.documents import Reading, found_in, reading_of
from felixctl.resources.manifests import FileContents, manifests_in
from net.printable import one_line

SUFFIXES = (".yaml", ".yml", ".json")
_STANDARD_INPUT = "standard input"


def read_manifests(
    files: Sequence[str] | None,
    recursive: bool,
    namespace: str | None,
    *,
    skip_unsupported: bool = False,
    skip_empty: bool = False,
    tell: Tell = untold,
) -> FileContents:
    """Return what the files hold, mistakes included. Raises CommandError: no file is named, or there is nothing in it.

    With `skip_empty` that is no error, and neither if all of it was left out.
    """
    if not files:
        raise CommandError("no file is named: give -f FILE, or -f - for the standard input", MISUSED)
    readings = [reading for file in files for reading in _readings(file, recursive, tell)]
    documents = (one for reading in readings for one in reading.documents)
    batch = manifests_in(documents, namespace, skip_unsupported=skip_unsupported)
    batch.mistakes[:0] = [mistake for reading in readings for mistake in reading.mistakes]
    if not (skip_empty or batch.manifests or batch.mistakes or batch.skipped):
        named = ", ".join(_STANDARD_INPUT if file == "-" else file for file in files)
        raise CommandError(f"read {named}: there is no resource in it, so nothing was written")
    return batch


def skipped(batch: FileContents) -> str:
    """Return a line for each document that was left out."""
    return "".join(f"skipped: {one_line(sentence)}\n" for sentence in bounded(batch.skipped))


def _readings(file: str, recursive: bool, tell: Tell) -> Iterator[Reading]:
    if file == "-":
        yield _reading(_STANDARD_INPUT, sys.stdin.buffer.read, tell)
        return
    for path in _paths(Path(file), recursive):
        yield _reading(str(path), path.read_bytes, tell)


def _paths(path: Path, recursive: bool) -> list[Path]:
    if not path.is_dir():
        return [path]
    inside = path.rglob("*") if recursive else path.iterdir()
    return sorted(found for found in inside if found.suffix in SUFFIXES and found.is_file())


def _reading(name: str, reading: Callable[[], bytes], tell: Tell) -> Reading:
    try:
        return reading_of(counted(found_in(text_of(reading()), name), tell, f"resources read from {name}"))
    except OSError as error:
        return Reading([], [f"read {name}: {error.strerror}"])
    except UnicodeDecodeError as error:
        return Reading([], [f"read {name}: it is not {error.encoding.upper()} text"])


def text_of(data: bytes) -> str:
    """Return the text in a file's bytes, in UTF-8, or in UTF-16 or 32 as a byte order mark or the first bytes show.

    Raises UnicodeDecodeError.
    """
    return data.decode(json.detect_encoding(data))
