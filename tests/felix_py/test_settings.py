"""Settings: from environment, file, default; bad ones refused with a sentence that names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from felix_py.settings import Settings, SettingsError, node_name, parse_as_number, read_file, settings_from


def test_nothing_said_is_all_defaults() -> None:
    assert settings_from({}) == Settings()


def test_environment_beats_the_file_and_the_file_beats_the_default() -> None:
    file = {"FELIX_METRIC": "700", "FELIX_PROTOCOL": "90"}
    settings = settings_from({"FELIX_METRIC": "800"}, file)
    assert (settings.metric, settings.protocol, settings.learned_protocol) == (800, 90, 81)


def test_an_empty_value_is_unset() -> None:
    assert settings_from({"FELIX_METRIC": "", "IP": " "}).metric == 1030


@pytest.mark.parametrize(
    ("text", "mode"), [("Off", "Never"), ("always", "Always"), ("cross-subnet", "CrossSubnet"), ("CrossSubnet",) * 2]
)
def test_calicos_older_spellings_of_encapsulation_are_taken(text: str, mode: str) -> None:
    assert settings_from({"CALICO_IPV4POOL_IPIP": text}).ipv4_pool.ipip == mode


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FELIX_METRIC", "0"),
        ("FELIX_METRIC", "many"),
        ("FELIX_PROTOCOL", "4"),
        ("FELIX_HEALTHPORT", "70000"),
        ("FELIX_LOGSEVERITYSCREEN", "loud"),
        ("CALICO_IPV4POOL_IPIP", "sometimes"),
        ("CALICO_IPV4POOL_BLOCK_SIZE", "x"),
        ("IP", "10.0.0.999"),
        ("IP", "fd00::1"),
        ("IP6", "10.0.0.1"),
        ("AS", "0"),
        ("AS", "1.70000"),
        ("FELIX_LEARNEDPROTOCOL", "80"),
    ],
)
def test_a_bad_setting_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        settings_from({name: value})


def test_an_unknown_name_in_our_file_is_refused() -> None:
    with pytest.raises(SettingsError, match="FELIX_METRICK"):
        settings_from({}, {"FELIX_METRICK": "7"})


def test_a_file_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "felix.cfg"
    path.write_text("# ours\nFELIX_METRIC = 900  # low\n\nIP=10.0.0.1/24\n")
    assert read_file(path) == {"FELIX_METRIC": "900", "IP": "10.0.0.1/24"}
    assert read_file(tmp_path / "missing") == {}
    path.write_text("metric 900\n")
    with pytest.raises(SettingsError, match="line 1"):
        read_file(path)


@pytest.mark.parametrize(("text", "number"), [("64512", 64512), ("1.10", 65546), ("4294967295", 4294967295)])
def test_as_numbers_plain_and_dotted(text: str, number: int) -> None:
    assert parse_as_number(text) == number


def test_the_node_is_named_by_nodename_then_file_then_hostname_then_system() -> None:
    assert node_name(settings_from({"NODENAME": "Node-A", "HOSTNAME": "h"}), "stored", "sys") == "Node-A"
    assert node_name(settings_from({"HOSTNAME": "h"}), "stored\n", "sys") == "stored"
    assert node_name(settings_from({"HOSTNAME": "Host"}), "", "sys") == "host"
    assert node_name(settings_from({}), "", "Sys") == "sys"
