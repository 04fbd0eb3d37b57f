"""The host gets whole files or none, the configuration last and for good."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from cni.install import comes_first, conflist, from_template, install_conflist
from cni.request import VERSIONS


def test_the_configuration_is_what_old_and_new_libraries_read(tmp_path: Path) -> None:
    place = install_conflist(conflist(ipv6=True, mtu=1400), tmp_path / "net.d")
    document = json.loads(place.read_text())
    assert place.name == "10-felix.conflist"
    assert place.stat().st_mode & 0o777 == 0o600
    assert document["cniVersion"] == VERSIONS[0]
    assert document["cniVersions"] == list(VERSIONS)
    assert document["plugins"][0]["ipam"]["assign_ipv6"] is True
    assert document["plugins"][0]["mtu"] == 1400


def test_an_unchanged_file_is_not_written_again(tmp_path: Path) -> None:
    first = install_conflist(conflist(), tmp_path).stat()
    assert install_conflist(conflist(), tmp_path).stat().st_ino == first.st_ino
    assert install_conflist(conflist("other"), tmp_path).stat().st_ino != first.st_ino
    assert {path.name for path in tmp_path.iterdir()} == {"10-felix.conflist", "10-felix.conflist.before"}


def test_what_was_edited_by_hand_is_kept_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = install_conflist(conflist(), tmp_path)
    place.write_text("by hand")
    install_conflist(conflist(), tmp_path)
    assert (tmp_path / "10-felix.conflist.before").read_text() == "by hand"
    assert "10-felix.conflist.before" in caplog.text


def test_what_was_edited_by_hand_outlives_the_next_lists(tmp_path: Path) -> None:
    net, note = tmp_path / "net.d", tmp_path / "note"
    place = install_conflist(conflist(), net, note)
    place.write_text("by hand")
    for mtu in (1400, 1300):
        install_conflist(conflist(mtu=mtu), net, note)
    assert (net / "10-felix.conflist.before").read_text() == "by hand"
    place.unlink()
    install_conflist(conflist(mtu=1300), net, note)
    assert json.loads(place.read_text())["plugins"][0]["mtu"] == 1300


@pytest.mark.parametrize(
    ("other", "first"),
    [("05-bridge.conf", "05-bridge.conf"), ("10-calico.conflist", "10-calico.conflist"), ("20-x.conf", None),
     ("05-x.conf.before", None)],
)  # fmt: skip
def test_another_network_that_a_runtime_takes_first_is_named(tmp_path: Path, other: str, first: str | None) -> None:
    install_conflist(conflist(), tmp_path)
    (tmp_path / other).write_text("{}")
    assert comes_first(tmp_path) == first


def test_where_pod_cidrs_are_used_host_local_gives_them() -> None:
    (plugin,) = conflist(ipv6=True, pod_cidrs=True)["plugins"]
    ranges = [[{"subnet": "usePodCidr"}], [{"subnet": "usePodCidrIPv6"}]]
    assert plugin["ipam"] == {"type": "host-local", "ranges": ranges}
    (plugin,) = conflist(pod_cidrs=True)["plugins"]
    assert plugin["ipam"]["ranges"] == [[{"subnet": "usePodCidr"}]]


def template(plugin: str) -> str:
    return '{"name":"pods","cniVersion":"0.3.1","plugins":[' + plugin + ',{"type":"portmap"}]}'


def test_a_template_of_calicos_manifests_is_filled_in() -> None:
    text = template('{"type":"felix","mtu":__CNI_MTU__,"nodename":"__KUBERNETES_NODE_NAME__"}')
    plugin = from_template(text, node="n1", mtu=1400)["plugins"][0]
    assert (plugin["mtu"], plugin["nodename"]) == (1400, "n1")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (template('{"type":"felix","kubernetes":{"kubeconfig":"__KUBECONFIG_FILEPATH__"}}'), "__KUBECONFIG_FILEPATH__"),
        (template('{"type":"calico"}'), "calico"),
        (template('{"type":"felix","ipam":{"type":"dhcp"}}'), "dhcp"),
        (template('{"type":"felix","mtu":"big"}'), "mtu"),
        (template("1"), "felix"),
        ('{"name":"pods"}', "plugins"),
        ('{"name":"pods","plugins":[{"type":"felix"}]}', "cniVersion None is not supported.*use one of 0.3.1"),
        ('{"name":"pods","cniVersion":"0.2.0","plugins":[{"type":"felix"}]}', "cniVersion '0.2.0' is not supported"),
        (
            '{"name":"pods","cniVersion":{},"cniVersions":["2.0.0",1],"plugins":[{"type":"felix"}]}',
            "cniVersion {} is not supported",
        ),
        ("[" * 100_000, "JSON"),
        ("{", "JSON"),
    ],
)
def test_a_template_that_cannot_be_used_is_one_sentence_with_the_cause(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        from_template(text, node="n1", mtu=0)


def test_a_template_may_offer_versions_that_are_not_ours_beside_one_that_is() -> None:
    text = '{"name":"pods","cniVersion":"0.2.0","cniVersions":["0.2.0","1.0.0","2.0.0"],"plugins":[{"type":"felix"}]}'
    assert from_template(text, node="n1", mtu=0)["cniVersions"][-1] == "2.0.0"


def test_a_reader_never_meets_half_a_configuration(tmp_path: Path) -> None:
    install_conflist(conflist("n0"), tmp_path)
    done = threading.Event()

    def write() -> None:
        for number in range(50):
            install_conflist(conflist(f"n{number}", mtu=1400 + number), tmp_path)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        for path in tmp_path.glob("[!.]*"):
            json.loads(path.read_text())
    writer.join()
