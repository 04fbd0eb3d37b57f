"""What shim and agent say to each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cni.shim_message import encode_reply, unpack_request


@given(
    st.dictionaries(st.text("ABC_", min_size=1), st.text(st.characters(exclude_characters="\0", codec="utf-8"))),
    st.binary(),
)
def test_what_the_shim_packs_is_unpacked(environment: dict[str, str], stdin: bytes) -> None:
    environment = {"CNI_COMMAND": "ADD"} | environment
    packed = b"".join(f"{key}={value}\0".encode("utf-8", "surrogateescape") for key, value in environment.items())
    assert unpack_request(packed + b"\0" + stdin) == (environment, stdin)


def test_an_answer_ends_with_a_newline_and_holds_none_before() -> None:
    assert encode_reply(0, None) == b"\0\n"
    assert encode_reply(1, {"msg": "two\nlines"}).count(b"\n") == 1
