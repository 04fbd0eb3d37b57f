from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.calico_settings import ACCESS, GROUP, given_by, store_url, with_group
from datastore.errors import Invalid
from datastore.url import KubernetesApi, parse_url

NAMES = ("DATASTORE_TYPE", "KUBECONFIG", "K8S_CURRENT_CONTEXT", GROUP, "ETCD_ENDPOINTS", *ACCESS)
V3 = "projectcalico.org/v3"


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


def test_the_group_goes_with_any_api_server_and_not_with_a_file() -> None:
    told = given_by({GROUP: f" {V3} "})
    assert with_group("kubernetes://", told) == f"kubernetes://?group={V3}"
    assert with_group("kubernetes:///k?context=a", told) == f"kubernetes:///k?context=a&group={V3}"
    own = "kubernetes://?group=crd.projectcalico.org/v1"
    assert with_group(own, told) == own
    assert with_group("sqlite:///c.db", told) == "sqlite:///c.db"
    assert with_group("kubernetes://", given_by({})) == "kubernetes://"


@pytest.mark.parametrize("text", ["projectcalico.org", "v3", "crd.projectcalico.org/v3", "\x1b[2J"])
def test_another_group_is_refused_by_what_its_user_calls_it(text: str) -> None:
    with pytest.raises(Invalid, match=f"{GROUP} is .*, no group of Calico's resources; use crd.*v1 or {V3}") as refused:
        with_group("kubernetes://", given_by({GROUP: text}))
    assert str(refused.value).isprintable()
    assert with_group("sqlite:///c.db", given_by({GROUP: text})) == "sqlite:///c.db"


@given(st.dictionaries(st.sampled_from([*NAMES, *(f"CALICO_{name}" for name in NAMES)]), st.text(st.characters())))
def test_any_environment_gives_a_url_that_can_be_read_or_one_sentence(environment: dict[str, str]) -> None:
    told = given_by({"DATASTORE_TYPE": "kubernetes", **environment})
    try:
        found = store_url(told, "/home")
        address = parse_url(with_group(found, told)) if found else None
    except Invalid as refusal:
        assert str(refusal).isprintable()
    else:
        assert address is None or isinstance(address, KubernetesApi)
