"""Settings: from environment, file, default; bad ones refused with a sentence that names them."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_interface, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from felix_py.configuration.setting_types import AddressChoice
from felix_py.configuration.settings import (
    Settings,
    SettingsError,
    node_name,
    parse_file,
    read_file,
    settings_from,
    variables,
)


def test_nothing_said_is_all_defaults() -> None:
    assert settings_from({}) == Settings()


def test_environment_beats_the_file_and_the_file_beats_the_default() -> None:
    file = {"FELIX_METRIC": "700", "FELIX_PROTOCOL": "90"}
    settings = settings_from({"FELIX_METRIC": "800"}, file)
    assert (settings.metric, settings.protocol, settings.learned_protocol) == (800, 90, 81)


def test_an_empty_value_is_unset() -> None:
    assert settings_from({"FELIX_METRIC": " "}, {"FELIX_METRIC": "700"}).metric == 700
    assert settings_from({"FELIX_METRIC": "", "IP": " "}).metric == 1030


@pytest.mark.parametrize(
    ("text", "mode"), [("Off", "Never"), ("always", "Always"), ("cross-subnet", "CrossSubnet"), ("CrossSubnet",) * 2]
)
def test_calicos_older_spellings_of_encapsulation_are_taken(text: str, mode: str) -> None:
    assert settings_from({"CALICO_IPV4POOL_IPIP": text}).ipv4_pool.ipip == mode


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CALICO_ROUTER_ID", "foo"),
        ("FELIX_STATUSMODE", "rw"),
        ("FELIX_INTERFACEPREFIX", "a/b"),
        ("FELIX_METRIC", "0"),
        ("FELIX_METRIC", "many"),
        ("FELIX_METRIC", "1" * 5000),
        ("FELIX_METRIC", "\N{ARABIC-INDIC DIGIT THREE}"),
        ("FELIX_PROTOCOL", "4"),
        ("FELIX_HEALTHPORT", "70000"),
        ("FELIX_HEALTHHOST", "no host"),
        ("FELIX_LOGSEVERITYSCREEN", "loud"),
        ("FELIX_REPAIR", "perhaps"),
        ("FELIX_CHECKINTERVAL", "nan"),
        ("FELIX_CHECKINTERVAL", "inf"),
        ("FELIX_CHECKINTERVAL", "-1"),
        ("FELIX_CHECKINTERVAL", "1e300"),
        ("FELIX_RUN_DIR", "run"),
        ("FELIX_RUN_DIR", "/" + "a" * 100),
        ("FELIX_STATE_DIR", "/a\0b"),
        ("FELIX_STATE_DIR", "/a\udc80b"),
        ("FELIX_DATASTORE", "etcd://10.0.0.1"),
        ("NODENAME", "Node-A"),
        ("CALICO_IPV4POOL_IPIP", "sometimes"),
        ("CALICO_IPV4POOL_BLOCK_SIZE", "x"),
        ("CALICO_IPV4POOL_BLOCK_SIZE", "122"),
        ("CALICO_IPV4POOL_CIDR", "10.65.0.0"),
        ("CALICO_IPV4POOL_CIDR", "fd00::/48"),
        ("CALICO_IPV6POOL_NODE_SELECTOR", "has("),
        ("IP", "10.0.0.999"),
        ("IP", "fd00::1"),
        ("IP6", "10.0.0.1"),
        ("IP_AUTODETECTION_METHOD", "kubernetes-external-ip"),
        ("AS", "0"),
        ("AS", "1.70000"),
    ],
)
def test_a_bad_setting_is_refused_with_its_value_and_what_is_allowed(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        settings_from({name: value})
    shown = repr(value) if len(value) <= 100 else f"{value[:97]}...".join("''")
    allowed = "printable text in UTF-8" if not value.isprintable() else variables()[name]
    sentence = str(refusal.value)
    assert sentence.startswith(f"setting {name}={shown}: ")
    assert sentence.endswith(f"; use {allowed}")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("FELIX_STATUSMODE", "rw", "not valid"),
        ("FELIX_MTU", "67", "IPv4 needs 68 at least (RFC 791)"),
        ("FELIX_MTU", "65536", "not valid"),
        ("FELIX_MTU", "-1", "not valid"),
        ("AS", "0", "0 is reserved (RFC 7607)"),
        ("CALICO_ROUTER_ID", "0.0.0.0", "0.0.0.0 is reserved (RFC 6286)"),
        (
            "CALICO_IPV4POOL_CIDR",
            "10.65.0.1/16",
            '"10.65.0.1/16" has bits set beyond its length: 10.65.0.0/16 is meant?',
        ),
        (
            "IP_AUTODETECTION_METHOD",
            "interface=(",
            "bad regular expression: missing ), unterminated subpattern at position 0",
        ),
        ("AS", "1" * 5000, "not valid"),
    ],
)
def test_a_refusal_says_what_is_wrong_where_there_is_more_to_say(name: str, value: str, reason: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        settings_from({name: value})
    assert f": {reason}; use " in str(refusal.value)


@pytest.mark.parametrize("mtu", [0, 68, 65535])
def test_an_mtu_that_ipv4_can_have_is_taken(mtu: int) -> None:
    assert settings_from({"FELIX_MTU": str(mtu)}).mtu == mtu


def test_values_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(SettingsError, match="FELIX_PROTOCOL and FELIX_LEARNEDPROTOCOL are both 80"):
        settings_from({"FELIX_LEARNEDPROTOCOL": "80"})
    with pytest.raises(SettingsError, match=r"CALICO_IPV4POOL_.*exclude each other"):
        settings_from({"CALICO_IPV4POOL_IPIP": "Always", "CALICO_IPV4POOL_VXLAN": "Always"})
    with pytest.raises(SettingsError, match=r"CALICO_IPV4POOL_.*smaller than one block"):
        settings_from({"CALICO_IPV4POOL_CIDR": "10.65.0.0/27"})


def test_every_setting_is_a_value_of_its_type() -> None:
    settings = settings_from(
        {
            "CALICO_ROUTER_ID": "192.0.2.1",
            "FELIX_STATUSMODE": "0660",
            "IP": "192.0.2.1/24",
            "IP6": "autodetect",
            "IP_AUTODETECTION_METHOD": "cidr=192.0.2.0/24",
            "AS": "1.10",
            "FELIX_RUN_DIR": "/srv/run",
            "CALICO_IPV4POOL_CIDR": "10.65.0.0/16",
            "FELIX_CHECKINTERVAL": "1.5",
            "FELIX_REPAIR": "no",
        }
    )
    assert settings.router_id == IPv4Address("192.0.2.1")
    assert settings.status_mode == 0o660
    assert settings.ip == ip_interface("192.0.2.1/24")
    assert settings.ip6 is AddressChoice.DETECT
    assert settings.ip_autodetection_method.networks == (ip_network("192.0.2.0/24"),)
    assert settings.as_number == 65546
    assert settings.run_dir == Path("/srv/run")
    assert settings.ipv4_pool.cidr == ip_network("10.65.0.0/16")
    assert settings.check_seconds == 1.5
    assert settings.repair is False


def test_the_defaults_are_what_they_would_be_if_written() -> None:
    """Defaults are not parsed; each is of the type that a text gives."""
    written = {
        "FELIX_STATUSMODE": "0666",
        "IP6": "none",
        "IP_AUTODETECTION_METHOD": "first-found",
        "FELIX_RUN_DIR": "/run/felix",
        "FELIX_LOGSEVERITYSCREEN": "info",
        "FELIX_METRIC": "1030",
        "CALICO_IPV4POOL_NAT_OUTGOING": "true",
        "CALICO_IPV6POOL_BLOCK_SIZE": "122",
    }
    assert settings_from(written) == Settings()


def test_ipv6_that_is_off_is_what_felix_ipv6support_false_asks_for() -> None:
    assert settings_from({"FELIX_IPV6SUPPORT": "false"}).notices == ()
    [notice] = settings_from({"FELIX_IPV6SUPPORT": "false", "IP6": "autodetect"}).notices
    assert notice.name == "FELIX_IPV6SUPPORT"


def test_variables_that_are_not_read_are_among_the_notices() -> None:
    settings = settings_from({"FELIX_METRICK": "7", "FELIX_METRIC": "700"})
    assert [notice.name for notice in settings.notices] == ["FELIX_METRICK"]


def test_an_unknown_name_in_our_file_is_refused() -> None:
    with pytest.raises(SettingsError, match="FELIX_METRICK"):
        settings_from({}, {"FELIX_METRICK": "7"})


def test_a_file_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "felix.cfg"
    path.write_text("# ours\nFELIX_METRIC = 900  # low\n\nIP=10.0.0.1/24\n")
    assert read_file(str(path)) == {"FELIX_METRIC": "900", "IP": "10.0.0.1/24"}
    path.write_text("metric 900\n")
    with pytest.raises(SettingsError, match="line 1"):
        read_file(str(path))


@pytest.mark.parametrize("content", [b"\xff\xfe", b"FELIX_METRIC 7", b"\0", b"= 7", b"FELIX_METRIC = \0"])
def test_a_file_that_makes_no_sense_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "felix.cfg"
    path.write_bytes(content)
    with pytest.raises(SettingsError):
        settings_from({}, read_file(str(path)))


def test_the_usual_file_may_be_missing_and_one_that_is_named_may_not(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert read_file("", usual=missing) == {}
    with pytest.raises(SettingsError, match="No such file or directory"):
        read_file(str(missing))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Is a directory"):
        read_file(str(tmp_path))
    with pytest.raises(SettingsError, match="null byte"):
        read_file("a\0b")


def test_calicos_variables_choose_the_datastore_where_ours_does_not() -> None:
    assert settings_from({"DATASTORE_TYPE": "kubernetes"}).datastore == "kubernetes://"
    asked = {"CALICO_DATASTORE_TYPE": "kubernetes", "CALICO_KUBECONFIG": "/etc/k c", "K8S_CURRENT_CONTEXT": "a b"}
    assert settings_from(asked).datastore == "kubernetes:///etc/k%20c?context=a%20b"
    ours = {"FELIX_DATASTORE": "sqlite:///srv/c.db"}
    assert settings_from({**asked, **ours}).datastore == settings_from(asked, ours).datastore == "sqlite:///srv/c.db"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("DATASTORE_TYPE", "etcdv3", "there is no store in etcd here"),
        ("ETCD_ENDPOINTS", "http://e:2379", "there is no store in etcd here"),
        ("DATASTORE_TYPE", "consul", '"consul" is no kind of datastore; use kubernetes'),
        ("CALICO_KUBECONFIG", "k", '"k" is no absolute path'),
    ],
)
def test_a_datastore_of_calicos_that_is_none_of_ours_is_refused(name: str, value: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=f"open the datastore of {name}: {reason}"):
        settings_from({name: value})
    assert settings_from({name: value, "FELIX_DATASTORE": "sqlite:///c.db"}).notices[0].name == name


def test_the_group_of_calicos_resources_is_the_one_that_its_programs_are_told() -> None:
    told = {"CALICO_API_GROUP": "projectcalico.org/v3"}
    asked = "kubernetes://?group=projectcalico.org/v3"
    assert settings_from({**told, "DATASTORE_TYPE": "kubernetes"}).datastore == asked
    assert settings_from({**told, "FELIX_DATASTORE": "kubernetes://"}).datastore == asked
    assert settings_from(told, {"FELIX_DATASTORE": "kubernetes://"}).datastore == asked
    ours = "kubernetes://?group=crd.projectcalico.org/v1"
    assert settings_from({**told, "FELIX_DATASTORE": ours}).datastore == ours
    with pytest.raises(SettingsError, match="CALICO_API_GROUP is 'v3', no group of Calico's resources; use crd"):
        settings_from({"CALICO_API_GROUP": "v3", "FELIX_DATASTORE": "kubernetes://"})


odd_texts = (
    st.text(st.characters())  # surrogates and control characters too
    | st.sampled_from(["0", "-0", "1e999", "nan", "9" * 5000, "0x10", "\udcff", "\0", "٣", "²", "1_000", " "])
    | st.integers().map(str)
    | st.ip_addresses().map(str)
    | st.from_regex(r"[a-z-]+=[^,]*(,[^,]*)*")
)
odd_environments = st.dictionaries(
    st.sampled_from([*variables(), "FELIX_X", "CALICO_IPV4POOL_", "DATASTORE_TYPE", "CALICO_KUBECONFIG"])
    | st.text(st.characters()),
    odd_texts,
    max_size=4,
)


@given(odd_environments)
def test_any_environment_gives_settings_or_one_sentence(environment: dict[str, str]) -> None:
    try:
        settings = settings_from(environment)
    except SettingsError as refusal:
        assert "\n" not in str(refusal)
        assert len(str(refusal)) < 1000
        str(refusal).encode()
    else:
        assert isinstance(settings, Settings)


@given(
    st.binary()
    | odd_environments.map(lambda lines: "\n".join(map(" = ".join, lines.items())).encode("utf-8", "replace"))
)
def test_any_file_gives_settings_or_one_sentence(content: bytes) -> None:
    try:
        assert isinstance(settings_from({}, parse_file(content, "felix.cfg")), Settings)
    except SettingsError as refusal:
        assert "\n" not in str(refusal)
        str(refusal).encode()


def test_the_node_is_named_by_nodename_then_file_then_hostname_then_system() -> None:
    assert node_name(settings_from({"NODENAME": "node-a", "HOSTNAME": "h"}), "stored", "sys") == "node-a"
    assert node_name(settings_from({"HOSTNAME": "h"}), "stored\n", "sys") == "stored"
    assert node_name(settings_from({"HOSTNAME": "Host"}), "", "sys") == "host"
    assert node_name(settings_from({}), "", "Sys") == "sys"


@pytest.mark.parametrize(
    ("environment", "stored", "system", "source"),
    [
        ({}, "\N{REPLACEMENT CHARACTER}", "sys", "/var/lib/calico/nodename"),
        ({"HOSTNAME": "my host"}, "", "sys", "HOSTNAME"),
        ({}, "", "my_höst", "the host"),
    ],
)
def test_a_name_that_no_node_can_have_is_refused_with_its_source(
    environment: dict[str, str], stored: str, system: str, source: str
) -> None:
    with pytest.raises(SettingsError, match=f"from {source}: not 1 to 253 lower-case letters"):
        node_name(settings_from(environment), stored, system)


def test_a_node_without_any_name_is_refused() -> None:
    with pytest.raises(SettingsError, match="all empty; set NODENAME"):
        node_name(settings_from({}), "", " ")
