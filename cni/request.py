"""One call of the plugin by the CNI specification: environment and standard input, checked.

Pure. Versions 0.3.1 to 1.1.0 of the specification; an answer is always given in the version that was asked in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple, get_args

from msgspec import Struct, field
from pydantic import ValidationError

from cni.attachment import LONGEST_NAMES_BYTES, Attachment, PodRef
from cni.errors import CniError, Code
from cni.network_config import NetworkConfig
from net.printable import is_text

VERSIONS = ("0.3.1", "0.4.0", "1.0.0", "1.1.0")
NEWEST = VERSIONS[-1]
UNVERSIONED: Final = "0.1.0"
"""What libcni, the library that every runtime uses, takes a configuration without a version for."""

Verb = Literal["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"]

_SINCE: Mapping[str, str] = {"CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "ADD": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
    "DEL": ("CNI_CONTAINERID", "CNI_IFNAME"),
    "CHECK": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
}

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*\Z")
_DEVICE = re.compile(r"[^\s/:%]{1,15}\Z")  # the kernel takes % for a template

_UNDOING: Final = ("DEL", "GC")
"""Verbs that need the network's name and the environment only: a mistake in the rest must not keep a pod alive."""

KEPT_CONFIGURATIONS: Final = 16
MOST_KEPT_BYTES: Final = 16 << 10
"""Of a configuration that is kept as it was read."""

DEEPEST: Final = 100
"""How many lists and objects may stand inside each other: no configuration comes near, and Python's own limit does."""

_KNOWN_ARGS = {
    "IgnoreUnknown", "IP", "MAC", "K8S_POD_NAMESPACE", "K8S_POD_NAME", "K8S_POD_UID", "K8S_POD_INFRA_CONTAINER_ID",
}  # fmt: skip


class CniRequest(Struct, frozen=True):
    """One call of the plugin, checked."""

    verb: Verb
    version: str
    network: NetworkConfig
    attachment: Attachment
    pod: PodRef
    netns: str = ""
    netns_error: str = ""
    args: Mapping[str, str] | None = None
    valid_attachments: frozenset[tuple[str, str]] | None = None
    """GC: every (container, device) still in use; None when the runtime gave no list."""
    may_be_host: bool = False
    document: Mapping[str, Any] = field(default_factory=dict)
    """The network's configuration as it came."""
    stored_annotations: Mapping[str, str] = field(default_factory=dict)
    """The pod's, as the datastore has them."""
    namespace_annotations: Mapping[str, str] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    """Those of the pod's Namespace, where the datastore has Namespaces."""

    @property
    def annotations(self) -> Mapping[str, str]:
        """The pod's annotations: those that the runtime passes on, and those that the datastore has."""
        return {**self.network.annotations, **self.stored_annotations}


class _Configuration(NamedTuple):
    """What standard input says. It must not be changed: calls with the same input share it."""

    document: Mapping[str, Any]
    version: str
    network: NetworkConfig


def version_of(stdin: bytes) -> str:
    """Return the version to answer in: the input's if it can be read and is ours, else the newest."""
    try:
        version = json.loads(stdin)["cniVersion"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return NEWEST
    return version if version in VERSIONS else NEWEST


def parse(environment: Mapping[str, str], stdin: bytes) -> CniRequest:
    """Return what the runtime asks for. Raises CniError with code 4, 6, 1, 7 or 2, checked in this order."""
    verb = _verb(environment.get("CNI_COMMAND", ""))
    missing = [name for name in _REQUIRED.get(verb, ()) if not environment.get(name)]
    if missing:
        raise CniError(
            Code.INVALID_ENVIRONMENT, f"{verb}: required environment variables are missing: {', '.join(missing)}"
        )
    container, device = environment.get("CNI_CONTAINERID", ""), environment.get("CNI_IFNAME", "")
    if verb not in _UNDOING:  # what has no such name was never attached: there is nothing to undo
        _check_names(verb, container, device)
    args = _args(verb, environment.get("CNI_ARGS", ""))
    read = _read_again if len(stdin) <= MOST_KEPT_BYTES and verb != "GC" else _read
    document, version, network = read(verb, stdin)
    attachment = Attachment(network.name, container, device)
    if verb not in _UNDOING:
        _check_label(verb, attachment)
    return CniRequest(
        verb=verb,
        version=version,
        network=network,
        attachment=attachment,
        pod=PodRef(
            args.get("K8S_POD_NAMESPACE") or "default",
            args.get("K8S_POD_NAME") or container,
            args.get("K8S_POD_UID", ""),
        ),
        netns=environment.get("CNI_NETNS", ""),
        netns_error=environment.get("CNI_NETNS_ERROR", ""),
        args=args,
        valid_attachments=_valid_attachments(verb, document),
        may_be_host=environment.get("CNI_NETNS_OVERRIDE", "").upper() in {"1", "TRUE"},
        document=document,
    )


def _read(verb: Verb, stdin: bytes) -> _Configuration:
    """Return what standard input says. Raises CniError with code 6, 1 or 7."""
    document = _document(verb, stdin)
    return _Configuration(document, _version(verb, document), _network(verb, document))


_read_again = lru_cache(KEPT_CONFIGURATIONS)(_read)
"""The same. The pods of a node differ in the environment of their calls, and most of them in nothing else."""


def _check_names(verb: Verb, container: str, device: str) -> None:
    if container and not _NAME.match(container):
        raise CniError(Code.INVALID_ENVIRONMENT, f"{verb}: CNI_CONTAINERID={container!r} is not a container's id")
    if device and (
        not _DEVICE.match(device) or len(device.encode(errors="surrogateescape")) > 15 or device in {".", ".."}
    ):
        raise CniError(Code.INVALID_ENVIRONMENT, f"{verb}: CNI_IFNAME={device!r} cannot be a device's name")
    if not is_text(device):
        raise CniError(Code.INVALID_ENVIRONMENT, f"{verb}: CNI_IFNAME={device!r} is not UTF-8, as a result must be")


def _check_label(verb: Verb, attachment: Attachment) -> None:
    """Raises CniError (4): its names do not fit into the label by which its device is found again."""
    size = len(" ".join(attachment).encode(errors="surrogateescape"))
    if size > LONGEST_NAMES_BYTES:
        raise CniError(
            Code.INVALID_ENVIRONMENT,
            f"{verb}: the network's name ({len(attachment.network)} characters), CNI_CONTAINERID "
            f"({len(attachment.container_id)}) and CNI_IFNAME are {size} bytes together, and a device's label has room "
            f"for {LONGEST_NAMES_BYTES}",
        )


def _verb(text: str) -> Verb:
    for verb in get_args(Verb):
        if text == verb:
            return verb  # type: ignore[no-any-return]
    raise CniError(Code.INVALID_ENVIRONMENT, f"CNI_COMMAND={text!r} is not one of {', '.join(get_args(Verb))}")


def _document(verb: Verb, stdin: bytes) -> dict[str, Any]:
    try:
        document = json.loads(stdin, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise CniError(
            Code.UNDECODABLE, f"{verb}: the network configuration on standard input is not JSON: {error}"
        ) from None
    if not isinstance(document, dict):
        raise CniError(Code.UNDECODABLE, f"{verb}: the network configuration on standard input is not a JSON object")
    if verb in _UNDOING:
        return document
    if _deeper_than(document, DEEPEST):
        raise CniError(Code.UNDECODABLE, f"{verb}: the network configuration is nested more than {DEEPEST} levels deep")
    if b"\\ud" in stdin.lower() and not is_text(json.dumps(document, ensure_ascii=False)):
        raise CniError(Code.UNDECODABLE, f"{verb}: the network configuration holds half a Unicode character")
    return document


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def _deeper_than(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_deeper_than(each, levels - 1) for each in inner if isinstance(each, dict | list))


def _version(verb: Verb, document: Mapping[str, Any]) -> str:
    version = document.get("cniVersion") or UNVERSIONED
    if verb in _UNDOING and version not in VERSIONS:
        return NEWEST
    if not isinstance(version, str):
        raise CniError(Code.UNDECODABLE, f"{verb}: cniVersion {version!r} is not text")
    if verb == "VERSION":
        return version if version in VERSIONS else NEWEST
    if version not in VERSIONS:
        raise CniError(
            Code.INCOMPATIBLE_VERSION,
            f"{verb}: cniVersion {version!r} is not supported; supported are {', '.join(VERSIONS)}",
        )
    if VERSIONS.index(version) < VERSIONS.index(_SINCE.get(verb, VERSIONS[0])):
        raise CniError(
            Code.INCOMPATIBLE_VERSION, f"{verb}: not part of cniVersion {version}, only since {_SINCE[verb]}"
        )
    return version


def _args(verb: Verb, text: str) -> dict[str, str]:
    """Take CNI_ARGS apart; unknown keys are refused unless IgnoreUnknown is given, as the library does."""
    args: dict[str, str] = {}
    for element in filter(None, text.split(";")):
        key, equals, value = element.partition("=")
        if not equals or not key or "=" in value or not is_text(element):
            if verb in _UNDOING:
                continue
            raise CniError(Code.INVALID_ENVIRONMENT, f"{verb}: CNI_ARGS holds {element!r}, which is not KEY=VALUE")
        args[key] = value
    lenient = verb in _UNDOING or args.get("IgnoreUnknown", "").lower() in {"1", "true"}
    if not lenient and (unknown := sorted(args.keys() - _KNOWN_ARGS)):
        raise CniError(
            Code.INVALID_ENVIRONMENT, f"{verb}: CNI_ARGS holds unknown keys without IgnoreUnknown: {', '.join(unknown)}"
        )
    return args


def _network(verb: Verb, document: Mapping[str, Any]) -> NetworkConfig:
    if verb == "VERSION":
        return NetworkConfig(name="version")  # which nobody asks for
    if verb in _UNDOING:
        document = {key: value for key, value in document.items() if key == "name"}
    try:
        return NetworkConfig.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            raise CniError(
                Code.INVALID_CONFIGURATION, f"{verb}: the network configuration has no member {where!r}"
            ) from None
        raise CniError(
            Code.INVALID_CONFIGURATION,
            f"{verb}: network {document.get('name')!r}: {where} {first['input']!r}: {first['msg']}",
        ) from None


def _valid_attachments(verb: Verb, document: Mapping[str, Any]) -> frozenset[tuple[str, str]] | None:
    """Read GC's list; the second key is what an early text of 1.1.0 called it."""
    keys = [key for key in ("cni.dev/valid-attachments", "cni.dev/attachments") if key in document]
    if verb != "GC" or not keys:
        return None
    listed = document[keys[0]]
    match [] if listed is None else listed:  # an empty list of Go's may be written as null
        case list() as items if all(map(_names_an_attachment, items)):
            return frozenset((item["containerID"], item["ifname"]) for item in items)
        case _:
            raise CniError(
                Code.INVALID_CONFIGURATION, f"GC: {keys[0]} is not a list of objects with containerID and ifname"
            )


def _names_an_attachment(item: object) -> bool:
    match item:
        case {"containerID": str(), "ifname": str()}:
            return True
        case _:
            return False
