"""The CNI specification as values: a request in, a result or an error out.

Pure: bytes and mappings in, frozen values out; no I/O, no clock, no logging. Versions 0.3.1 to 1.1.0 of the
specification; an answer is always given in the version that was asked in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated, Any, Final, Literal, NamedTuple, cast, get_args

from msgspec import Struct, field
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ipam.names import pod_handle
from net.mac import is_device_mac

VERSIONS = ("0.3.1", "0.4.0", "1.0.0", "1.1.0")
NEWEST = VERSIONS[-1]

Verb = Literal["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"]
Address = IPv4Address | IPv6Address

ANNOTATIONS = "io.kubernetes.cri.pod-annotations"
PREFIX = "cni.projectcalico.org/"

_SINCE: Mapping[str, str] = {"CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "ADD": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
    "DEL": ("CNI_CONTAINERID", "CNI_IFNAME"),
    "CHECK": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*\Z")
LONGEST_LABEL_BYTES: Final = 255
LONGEST_NAMES_BYTES: Final = LONGEST_LABEL_BYTES - len("felix ")
"""Of network, container id and device together: the label of a device (IFLA_IFALIAS) holds them behind our mark."""
_DEVICE = re.compile(r"[^\s/:%]{1,15}\Z")  # the kernel takes % for a template
_UNDOING: Final = ("DEL", "GC")
"""Verbs that need the network's name and the environment only: a mistake in the rest must not keep a pod alive."""

DEEPEST: Final = 100
"""How many lists and objects may stand inside each other: no configuration comes near, and Python's own limit does."""

REFUSED_ANNOTATIONS: Final = {"ipAddrsNoIpam": "addresses without IPAM", "floatingIPs": "floating IPs"}

_KNOWN_ARGS = {
    "IgnoreUnknown", "IP", "MAC", "K8S_POD_NAMESPACE", "K8S_POD_NAME", "K8S_POD_UID", "K8S_POD_INFRA_CONTAINER_ID",
}  # fmt: skip


class Code(IntEnum):
    """CNI's well-known error codes, and from 100 on our own."""

    INCOMPATIBLE_VERSION = 1
    UNSUPPORTED_FIELD = 2
    INVALID_ENVIRONMENT = 4
    IO_FAILURE = 5
    UNDECODABLE = 6
    INVALID_CONFIGURATION = 7
    INVALID_NAMESPACE = 8
    TRY_AGAIN = 11
    NOT_SERVING = 50
    LIMITED = 51
    ALREADY_ATTACHED = 100
    NO_ADDRESS = 101
    DIFFERENT = 102
    KERNEL = 103
    UNEXPECTED = 104


class CniError(Exception):
    """A verb failed: a code for the runtime, a sentence for whoever is on call, and details if there are any."""

    def __init__(self, code: Code | int, sentence: str, details: str = "") -> None:
        """code: ours, or that of a plugin which was asked."""
        super().__init__(sentence)
        self.code, self.sentence, self.details = code, sentence, details


class Attachment(NamedTuple):
    """What one ADD makes and one DEL undoes. The specification keys it by these three."""

    network: str
    container_id: str
    device: str

    @property
    def handle(self) -> str:
        """The name its addresses are assigned under; as Calico's, so that either can release the other's."""
        return pod_handle(*self)


class PodRef(NamedTuple):
    """Who the container is for Kubernetes; for other runtimes a pod named as the container, in `default`."""

    namespace: str
    name: str
    uid: str = ""


def describe(attachment: Attachment, pod: PodRef) -> str:
    """Return an attachment as log lines and errors name it: `default/web-1 (container c4719afa76fa, eth0)`."""
    device = attachment.device.encode(errors="backslashreplace").decode()  # a DEL's may be any bytes
    return f"{pod.namespace}/{pod.name} (container {attachment.container_id[:12]}, {device})"


def _boolean(value: object) -> object:
    """Accept a boolean written as text, as Calico's configuration and old libraries do."""
    return {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, str) else value


Flag = Annotated[bool, BeforeValidator(_boolean)]


class _Section(BaseModel):
    """A part of the configuration. A member that is null is as if it were absent: Go writes its zero values so."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        return {key: each for key, each in value.items() if each is not None} if isinstance(value, dict) else value


class IpamSection(_Section):
    """`ipam`: which families, from which pools (names or CIDRs); or what another plugin reads that gives addresses."""

    type: Literal["felix-ipam", "calico-ipam", "host-local"] = "felix-ipam"
    assign_ipv4: Flag = True
    assign_ipv6: Flag = False
    ipv4_pools: tuple[str, ...] = ()
    ipv6_pools: tuple[str, ...] = ()


class ContainerSettings(_Section):
    allow_ip_forwarding: Flag = False


class _Wishes(_Section):
    """What `runtimeConfig` and `args.cni` may ask for, to check their types once."""

    ips: tuple[str, ...] = ()
    mac: str = ""
    annotations: dict[str, str] = Field(default_factory=dict)
    pod_annotations: dict[str, str] = Field(default_factory=dict, alias="io.kubernetes.cri.pod-annotations")


class _Args(_Section):
    cni: _Wishes = _Wishes()


class _Interface(_Section):
    name: str = ""
    mac: str = ""
    sandbox: str = ""


class _Assigned(_Section):
    address: str
    interface: Annotated[int, Field(strict=True)] = -1


class _Result(_Section):
    """The parts of a prevResult that are read here."""

    interfaces: tuple[_Interface, ...] = ()
    ips: tuple[_Assigned, ...] = ()
    routes: tuple[dict[str, Any], ...] = ()


def _shaped(model: type[_Section]) -> AfterValidator:
    """Check a member against a model and keep it as it was written. Raises ValueError: what is wrong where."""

    def check(value: Any) -> Any:
        try:
            model.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        return value

    return AfterValidator(check)


class NetworkConfig(_Section):
    """One plugin's configuration as it arrives on standard input; unknown members are kept."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]*$")]
    type: str = ""
    mtu: Annotated[int, Field(ge=0, le=65535)] = 0
    ipam: IpamSection = IpamSection()
    container_settings: ContainerSettings = ContainerSettings()
    args: Annotated[Mapping[str, Any], _shaped(_Args)] = Field(default_factory=dict)
    runtime_config: Annotated[Mapping[str, Any], _shaped(_Wishes)] = Field(default_factory=dict, alias="runtimeConfig")
    prev_result: Annotated[Mapping[str, Any], _shaped(_Result)] | None = Field(default=None, alias="prevResult")

    @property
    def annotations(self) -> Mapping[str, str]:
        """The pod's annotations as far as the runtime passes them on: its own capability, else `args.cni`."""
        for source in (self.runtime_config.get(ANNOTATIONS), self._conventions.get("annotations")):
            if source:
                return cast("Mapping[str, str]", source)
        return {}

    @property
    def ips(self) -> tuple[str, ...]:
        """Addresses asked for by the runtime: capability `ips`, else `args.cni.ips`."""
        wanted = self.runtime_config.get("ips") or self._conventions.get("ips") or ()
        return tuple(str(text) for text in wanted)

    @property
    def _conventions(self) -> Mapping[str, Any]:
        return self.args.get("cni") or {}


class AddressRequest(Struct, frozen=True):
    """Which addresses a pod is to get: this many of each family from these pools, or exactly `addresses`."""

    ipv4: int
    ipv6: int
    ipv4_pools: tuple[str, ...] = ()
    ipv6_pools: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()
    ipv6_first: bool = False

    def is_met_by(self, addresses: tuple[Address, ...]) -> bool:
        """Whether these addresses are as many of each family, or those that are asked for."""
        if self.addresses:
            return set(self.addresses) == set(addresses)
        versions = [address.version for address in addresses]
        return (versions.count(4), versions.count(6)) == (self.ipv4, self.ipv6)


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
    document = _document(verb, stdin)
    version = _version(verb, document)
    args = _args(verb, environment.get("CNI_ARGS", ""))
    network = _network(verb, document)
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


def _check_names(verb: Verb, container: str, device: str) -> None:
    if container and not _NAME.match(container):
        raise CniError(Code.INVALID_ENVIRONMENT, f"{verb}: CNI_CONTAINERID={container!r} is not a container's id")
    if device and (
        not _DEVICE.match(device) or len(device.encode(errors="surrogateescape")) > 15 or device in {".", ".."}
    ):
        raise CniError(Code.INVALID_ENVIRONMENT, f"{verb}: CNI_IFNAME={device!r} cannot be a device's name")
    if not _is_text(device):
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


def _is_text(text: str) -> bool:
    """Whether a text is Unicode, without halves of characters or bytes that were none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


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
    if b"\\ud" in stdin.lower() and not _is_text(json.dumps(document, ensure_ascii=False)):
        raise CniError(Code.UNDECODABLE, f"{verb}: the network configuration holds half a Unicode character")
    return document


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def _deeper_than(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_deeper_than(each, levels - 1) for each in inner if isinstance(each, dict | list))


def _version(verb: Verb, document: Mapping[str, Any]) -> str:
    # libcni, the library that every runtime uses, takes a configuration without a version for 0.1.0.
    version = document.get("cniVersion") or "0.1.0"
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
        if not equals or not key or "=" in value or not _is_text(element):
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
        return NetworkConfig(name=str(document.get("name") or "version"))
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


def address_request(request: CniRequest) -> AddressRequest:
    """Return which addresses this pod is to get: its annotations first, then its Namespace's, then the network's.

    Raises CniError (7): an annotation or address cannot be understood or is not implemented, or no family is left.
    """
    network, notes = request.network, request.annotations
    refuse_annotations(request, REFUSED_ANNOTATIONS)
    ipv4, ipv6, first = network.ipam.assign_ipv4, network.ipam.assign_ipv6, False
    if families := _listed(notes, "ipFamilies"):
        if set(families) - {"IPv4", "IPv6"}:
            raise CniError(
                Code.INVALID_CONFIGURATION,
                f"ADD: annotation {PREFIX}ipFamilies {list(families)} may hold only IPv4 and IPv6",
            )
        ipv4, ipv6, first = "IPv4" in families, "IPv6" in families, families[0] == "IPv6"
    if not ipv4 and not ipv6:
        raise CniError(
            Code.INVALID_CONFIGURATION,
            f"ADD: network {network.name!r} assigns neither IPv4 nor IPv6: "
            "set ipam.assign_ipv4 or ipam.assign_ipv6 to true",
        )
    given = (
        _listed(notes, "ipAddrs") or network.ips or tuple(filter(None, (request.args or {}).get("IP", "").split(",")))
    )
    return AddressRequest(
        ipv4=int(ipv4),
        ipv6=int(ipv6),
        ipv4_pools=_listed(notes, "ipv4pools") or _of_namespace(request, "ipv4pools") or network.ipam.ipv4_pools,
        ipv6_pools=_listed(notes, "ipv6pools") or _of_namespace(request, "ipv6pools") or network.ipam.ipv6_pools,
        addresses=tuple(dict.fromkeys(map(_address, given))),
        ipv6_first=first,
    )


def refuse_annotations(request: CniRequest, refused: Mapping[str, str]) -> None:
    """Raises CniError (7): the pod has one of these annotations. refused: what each asks for, by its name."""
    for name, what in refused.items():
        if _listed(request.annotations, name):
            raise CniError(
                Code.INVALID_CONFIGURATION,
                f"ADD: annotation {PREFIX}{name} {request.annotations[PREFIX + name]}: {what} are not implemented; "
                "without them the pod would have other addresses than it asks for",
            )


def hardware_address(request: CniRequest) -> str:
    """Return the MAC asked for the container's end, or nothing: the kernel chooses. Raises CniError (7)."""
    network = request.network
    wanted = request.annotations.get(PREFIX + "hwAddr") or network.runtime_config.get("mac")
    text = str(wanted or (request.args or {}).get("MAC", "")).lower()
    if text and not is_device_mac(text):
        raise CniError(
            Code.INVALID_CONFIGURATION, f"ADD: {text!r}, asked for as a MAC address, is none that a device can have"
        )
    return text


def _of_namespace(request: CniRequest, name: str) -> tuple[str, ...]:
    return _listed(request.namespace_annotations, name, f" of Namespace {request.pod.namespace}")


def _listed(annotations: Mapping[str, str], name: str, whose: str = "") -> tuple[str, ...]:
    text = annotations.get(PREFIX + name)
    if not text:
        return ()
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        items = None
    if not isinstance(items, list) or not all(isinstance(item, str) and _is_text(item) for item in items):
        raise CniError(
            Code.INVALID_CONFIGURATION, f"ADD: annotation {PREFIX}{name}{whose} {text!r} is not a JSON list of strings"
        )
    return tuple(items)


def _address(text: str) -> Address:
    try:
        return ip_address(text.partition("/")[0])
    except ValueError:
        raise CniError(Code.INVALID_CONFIGURATION, f"ADD: {text!r}, asked for as an address, is not one") from None


class CniInterface(NamedTuple):
    """One device of a result; an empty sandbox is the host."""

    name: str
    mac: str
    mtu: int
    sandbox: str = ""

    def render(self, version: str) -> dict[str, Any]:
        members: dict[str, Any] = {"name": self.name, "mac": self.mac}
        if version == "1.1.0":
            members["mtu"] = self.mtu
        if self.sandbox:
            members["sandbox"] = self.sandbox
        return members


class CniResult(Struct, frozen=True):
    """What an ADD made: the host's end, the container's end, and the addresses on the latter, primary first."""

    host: CniInterface
    container: CniInterface
    addresses: tuple[Address, ...]
    gateways: tuple[Address, ...]
    """Per address, the link-local address its default route leads through."""


def render(result: CniResult, version: str, previous: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the result as the runtime reads it, after what plugins before us in the chain already made.

    Unknown members of `previous` are passed on as they are.
    """
    chained = dict(previous or {})
    interfaces = list(chained.get("interfaces") or ())
    index = len(interfaces) + 1
    ips = [
        {"interface": index, "address": f"{address}/{address.max_prefixlen}", "gateway": str(gateway)}
        | ({"version": str(address.version)} if version.startswith("0.") else {})
        for address, gateway in zip(result.addresses, result.gateways, strict=True)
    ]
    routes = [
        {"dst": "0.0.0.0/0" if gateway.version == 4 else "::/0", "gw": str(gateway)}
        for gateway in dict.fromkeys(result.gateways)
    ]
    return chained | {
        "cniVersion": version,
        "interfaces": [*interfaces, result.host.render(version), result.container.render(version)],
        "ips": [*(chained.get("ips") or ()), *ips],
        "routes": [*(chained.get("routes") or ()), *routes],
    }


def addresses_of(previous: Mapping[str, Any], device: str) -> tuple[Address, ...] | None:
    """Return the addresses that a result puts on `device` inside the container; None if it does not list the device.

    An address without an interface index (0 is an index) belongs to no known device and is left out.
    """
    interfaces = previous.get("interfaces") or ()
    ours = {index for index, one in enumerate(interfaces) if one.get("sandbox") and one.get("name") == device}
    if not ours:
        return None
    return tuple(_address(ip["address"]) for ip in previous.get("ips") or () if ip.get("interface") in ours)


def version_answer(version: str) -> dict[str, Any]:
    return {"cniVersion": version, "supportedVersions": list(VERSIONS)}


def render_error(error: CniError, version: str) -> dict[str, Any]:
    shown: dict[str, Any] = {"cniVersion": version, "code": int(error.code), "msg": error.sentence}
    return shown | ({"details": error.details} if error.details else {})


def encode_reply(status: int, document: Mapping[str, Any] | None) -> bytes:
    """Return the shim's answer: the exit status, one JSON object or nothing, and the newline that ends it."""
    body = b"" if document is None else json.dumps(document, separators=(",", ":")).encode()
    return bytes((status,)) + body + b"\n"


def unpack_request(message: bytes) -> tuple[dict[str, str], bytes]:
    """Split what the shim sent into environment and standard input. Raises CniError (6): it was cut short."""
    head, end, stdin = message.partition(b"\0\0")
    if not end:
        raise CniError(Code.UNDECODABLE, "the request ended before its environment did; it is dropped")
    pairs = (item.decode(errors="surrogateescape").partition("=") for item in head.split(b"\0"))
    return {name: value for name, _, value in pairs}, stdin
