"""The network's configuration as it arrives on standard input: what is read of it, and of what type.

Pure. Unknown members are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

ANNOTATIONS = "io.kubernetes.cri.pod-annotations"


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


class FeatureControl(_Section):
    """`feature_control`: what annotations of pods may ask for here."""

    ip_addrs_no_ipam: Flag = False


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
    feature_control: FeatureControl = FeatureControl()
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
