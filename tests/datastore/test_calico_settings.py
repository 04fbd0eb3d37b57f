from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.calico_settings import ACCESS, given_by, store_url
from datastore.errors import Invalid
from datastore.url import KubernetesApi, parse_url

NAMES = ("DATASTORE_TYPE", "KUBECONFIG", "K8S_CURRENT_CONTEXT", "ETCD_ENDPOINTS", *ACCESS)


def url(folder: str = "/home/a", **environment: str) -> str | None:
    return store_url(given_by(environment), folder)


def test_the_type_the_kubeconfig_of_calicos_name_and_a_context_choose_kubernetes() -> None:
    assert url(DATASTORE_TYPE="kubernetes") == url(CALICO_DATASTORE_TYPE="kubernetes") == "kubernetes://"
    assert url(CALICO_KUBECONFIG="/etc/k") == "kubernetes:///etc/k"
    assert url(CALICO_KUBECONFIG="k") == "kubernetes:///home/a/k"
    assert url(K8S_CURRENT_CONTEXT="a/b&c") == "kubernetes://?context=a%2Fb%26c"


def test_a_kubeconfig_for_any_program_chooses_nothing_and_is_left_to_the_store() -> None:
    assert url(KUBECONFIG="/etc/k") is None
    assert url(KUBECONFIG="/a:/b", DATASTORE_TYPE="kubernetes") == "kubernetes://"
    assert url() is url(DATASTORE_TYPE=" ") is url(K8S_API_ENDPOINT="https://a") is None


def test_calicos_prefix_comes_first() -> None:
    assert url(CALICO_DATASTORE_TYPE="kubernetes", DATASTORE_TYPE="etcdv3") == "kubernetes://"
    with pytest.raises(Invalid, match="of CALICO_DATASTORE_TYPE: there is no store in etcd"):
        url(CALICO_DATASTORE_TYPE="etcdv3", DATASTORE_TYPE="kubernetes")


@pytest.mark.parametrize("name", ACCESS)
@pytest.mark.parametrize("prefix", ["", "CALICO_"])
def test_access_outside_of_a_kubeconfig_is_refused_and_its_value_not_shown(prefix: str, name: str) -> None:
    with pytest.raises(Invalid, match=f"{prefix}{name} is not read.*kubeconfig") as refused:
        url(DATASTORE_TYPE="kubernetes", **{prefix + name: "secret"})
    assert "secret" not in str(refused.value)


def test_a_certificate_that_is_to_be_verified_is_no_matter() -> None:
    assert url(DATASTORE_TYPE="kubernetes", K8S_INSECURE_SKIP_TLS_VERIFY="false") == "kubernetes://"


@given(st.dictionaries(st.sampled_from([*NAMES, *(f"CALICO_{name}" for name in NAMES)]), st.text(st.characters())))
def test_any_environment_gives_a_url_that_can_be_read_or_one_sentence(environment: dict[str, str]) -> None:
    try:
        found = store_url(given_by({"DATASTORE_TYPE": "kubernetes", **environment}), "/home")
        address = parse_url(found) if found else None
    except Invalid as refusal:
        assert str(refusal).isprintable()
    else:
        assert address is None or isinstance(address, KubernetesApi)
