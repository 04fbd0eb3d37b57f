"""The shim against agents that answer, stall, die and are not there."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cni.build import build
from cni.request import VERSIONS
from cni.shim_message import unpack_request
from cni.verbs import NOT_READY
from tests.cni.conftest import Run, call, configuration, finish

Agent = Callable[[socket.socket], None]

SANITIZED = ("-std=c11", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.fixture(scope="module", name="shim", params=["as it is shipped", "sanitized"])
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim, and once more with AddressSanitizer and UBSan, which end it without an answer where it does wrong."""
    out = tmp_path_factory.mktemp("shim") / "felix"
    if request.param == "sanitized":
        build(out, compilers=("gcc",), flags=SANITIZED)
    else:
        build(out)
    return out


@contextmanager
def agent(folder: Path, serve: Agent | None, backlog: int = 5) -> Iterator[None]:
    """Listen on the folder's cni.sock; give one connection to `serve`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(folder / "cni.sock"))
        listener.listen(backlog)

        def once() -> None:
            connection, _ = listener.accept()
            with connection:
                if serve:
                    serve(connection)

        thread = threading.Thread(target=once, daemon=True)
        if serve:
            thread.start()
        yield
        if serve:
            thread.join(10)


def receive(connection: socket.socket) -> tuple[bytes, list[int]]:
    message, descriptors = b"", list[int]()
    while True:
        chunk, received, _, _ = socket.recv_fds(connection, 4096, 4)
        descriptors += received
        if not chunk:
            return message, descriptors
        message += chunk


def pieces(answer: bytes) -> Iterator[bytes]:
    """Cut an answer into pieces: of one byte where it begins and ends, and else of a size that fits no buffer."""
    end = len(answer) - 20
    yield from (answer[at : at + 1] for at in range(20))
    yield from (answer[at : min(at + 4999, end)] for at in range(20, end, 4999))
    yield from (answer[at : at + 1] for at in range(end, len(answer)))


def test_the_versions_of_the_shim_are_those_of_python(start: Run) -> None:
    ended = finish(start(call("VERSION")), {"cniVersion": "0.4.0"})
    assert (ended.status, ended.document) == (0, {"cniVersion": "0.4.0", "supportedVersions": list(VERSIONS)})


@pytest.mark.parametrize("stdin", [b"", b"{", b'{"name": "cniVersion"}', b'{"cniVersion": "' + b"9" * 99 + b'"}'])
def test_version_needs_neither_agent_nor_input(start: Run, stdin: bytes) -> None:
    ended = finish(start(call("VERSION")), stdin)
    assert ended.status == 0
    assert ended.document["cniVersion"] == VERSIONS[-1]


@pytest.mark.parametrize(("verb", "code"), [("ADD", 11), ("DEL", 11), ("CHECK", 11), ("GC", 11), ("STATUS", 50)])
def test_without_an_agent_the_runtime_is_told_to_try_again(start: Run, verb: str, code: int) -> None:
    ended = finish(start(call(verb)), configuration("1.0.0"))
    assert (ended.status, ended.code, ended.document["cniVersion"]) == (1, code, "1.0.0")
    assert "agent on this node does not answer" in ended.document["msg"]
    assert (NOT_READY in ended.document["msg"]) == (verb == "ADD")


def test_an_agent_that_is_away_is_looked_for_where_the_configuration_says_and_both_ways_are_named(
    start: Run, tmp_path: Path
) -> None:
    process = start(call("ADD", FELIX_CNI_SOCKET=""))
    ended = finish(process, configuration(felix_socket=str(tmp_path / "elsewhere.sock")))
    assert ended.code == 11
    for named in (str(tmp_path / "elsewhere.sock"), "FELIX_CNI_SOCKET", "felix_socket"):
        assert named in ended.document["msg"]


def noted(folder: Path) -> list[Path]:
    return list((folder / "deletes").iterdir())


def test_a_del_without_an_agent_is_noted_once_and_done_for_the_runtime(start: Run, tmp_path: Path) -> None:
    (tmp_path / "deletes").mkdir()
    network = configuration(filler="x" * 100_000)
    for _ in range(2):
        ended = finish(start(call("DEL", CNI_NETNS="/nowhere")), network)
        assert (ended.status, ended.stdout) == (0, b"")
    [note] = noted(tmp_path)
    assert note.stat().st_mode & 0o777 == 0o600
    environment, stdin = unpack_request(note.read_bytes())
    assert environment == call("DEL", CNI_NETNS="/nowhere", CNI_NETNS_ERROR="No such file or directory")
    assert json.loads(stdin) == network


def test_a_del_is_noted_where_the_configuration_says(start: Run, tmp_path: Path) -> None:
    (tmp_path / "state" / "deletes").mkdir(parents=True)
    ended = finish(start(call("DEL", FELIX_STATE_DIR="")), configuration(felix_state_dir=str(tmp_path / "state")))
    assert ended.status == 0
    assert len(noted(tmp_path / "state")) == 1


def test_an_add_is_not_noted(start: Run, tmp_path: Path) -> None:
    (tmp_path / "deletes").mkdir()
    assert finish(start(call("ADD")), configuration()).code == 11
    assert noted(tmp_path) == []


@pytest.mark.parametrize("full", [True, False])
def test_a_del_that_cannot_be_noted_is_to_be_tried_again(start: Run, tmp_path: Path, full: bool) -> None:
    (tmp_path / "deletes").mkdir()
    for number in range(1000 if full else 0):
        (tmp_path / "deletes" / str(number)).touch()
    ended = finish(start(call("DEL")), configuration(filler="" if full else "x" * 300_000))
    assert (ended.code, str(tmp_path / "deletes") in ended.document["msg"]) == (11, True)
    assert len(noted(tmp_path)) == (1000 if full else 0)


def test_a_del_whose_agent_hangs_up_is_not_noted(start: Run, tmp_path: Path) -> None:
    (tmp_path / "deletes").mkdir()
    with agent(tmp_path, lambda connection: None):
        assert finish(start(call("DEL")), configuration()).code == 11
    assert noted(tmp_path) == []


@pytest.mark.parametrize("verb", ["", "add", "REMOVE", "A" * 5000, 'say "hi"\\\n\xff'])
def test_an_unknown_verb_is_code_4(start: Run, verb: str) -> None:
    ended = finish(start(call(verb)), configuration())
    assert (ended.status, ended.code) == (1, 4)


def test_request_answer_and_descriptor_arrive_whole(start: Run, tmp_path: Path) -> None:
    seen: list[tuple[dict[str, str], bytes, os.stat_result]] = []

    def serve(connection: socket.socket) -> None:
        message, descriptors = receive(connection)
        seen.append((*unpack_request(message), os.fstat(descriptors[0])))
        os.close(descriptors[0])
        for piece in pieces(b'\0{"answer":' + b"1" * 300_000 + b"}\n"):  # far more than one pipe holds
            connection.sendall(piece)

    network = configuration(filler="x" * 500_000)
    with agent(tmp_path, serve):
        ended = finish(start(call("ADD", CNI_NETNS="/proc/self/ns/net", OTHER="kept to itself")), network)
    assert ended.status == 0
    assert ended.stdout == b'{"answer":' + b"1" * 300_000 + b"}\n"
    environment, stdin, status = seen[0]
    assert environment == call("ADD", CNI_NETNS="/proc/self/ns/net")
    assert json.loads(stdin) == network
    assert (status.st_dev, status.st_ino) == (os.stat("/proc/self/ns/net").st_dev, os.stat("/proc/self/ns/net").st_ino)


def test_a_namespace_that_cannot_be_opened_is_the_agents_to_judge(start: Run, tmp_path: Path) -> None:
    seen: list[dict[str, str]] = []

    def serve(connection: socket.socket) -> None:
        message, descriptors = receive(connection)
        assert descriptors == []
        seen.append(unpack_request(message)[0])
        connection.sendall(b"\0\n")

    with agent(tmp_path, serve):
        ended = finish(start(call("DEL", CNI_NETNS="/nowhere")), configuration())
    assert (ended.status, ended.stdout) == (0, b"")
    assert seen[0]["CNI_NETNS_ERROR"] == "No such file or directory"


def test_an_error_of_the_agent_is_passed_on_with_its_status(start: Run, tmp_path: Path) -> None:
    def serve(connection: socket.socket) -> None:
        receive(connection)
        connection.sendall(b'\1{"code":7,"msg":"bad"}\n')

    with agent(tmp_path, serve):
        ended = finish(start(call("ADD")), configuration())
    assert (ended.status, ended.document) == (1, {"code": 7, "msg": "bad"})


@pytest.mark.parametrize("sent", [b"", b"\0", b'\0{"cut', b'\1{"code":7,"msg":"bad"}'])
@pytest.mark.parametrize(("verb", "code"), [("ADD", 11), ("STATUS", 50)])
def test_an_agent_that_dies_in_between_is_the_same_as_none(
    start: Run, tmp_path: Path, sent: bytes, verb: str, code: int
) -> None:
    def serve(connection: socket.socket) -> None:
        receive(connection)
        connection.sendall(sent)

    with agent(tmp_path, serve):
        ended = finish(start(call(verb)), configuration())
    assert (ended.status, ended.code) == (1, code)


def test_an_agent_that_answers_before_it_has_read_is_heard(start: Run, tmp_path: Path) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(1)
        connection.sendall(b'\1{"code":5,"msg":"too long"}\n')

    with agent(tmp_path, serve):
        ended = finish(start(call("ADD")), b" " * 4_000_000)
    assert (ended.status, ended.code) == (1, 5)


def test_an_agent_that_never_accepts_ends_in_time(start: Run, tmp_path: Path) -> None:
    with agent(tmp_path, None, backlog=0), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as first:
        first.connect(str(tmp_path / "cni.sock"))
        ended = finish(start(call("ADD", FELIX_CNI_TIMEOUT="1")), configuration())
    assert (ended.status, ended.code) == (1, 11)


def test_an_agent_that_never_reads_ends_in_time(start: Run, tmp_path: Path) -> None:
    with agent(tmp_path, None):
        ended = finish(start(call("DEL", FELIX_CNI_TIMEOUT="1")), b" " * 4_000_000)
    assert (ended.status, ended.code) == (1, 11)


def test_a_runtime_that_never_closes_the_input_ends_in_time(start: Run) -> None:
    process = start(call("ADD", FELIX_CNI_TIMEOUT="1"))
    assert process.stdin and process.stdout
    process.stdin.write(b'{"cniVersion":"0.4.0",')
    process.stdin.flush()
    document = json.loads(process.stdout.read())
    process.stdin.close()
    assert (process.wait(10), document["code"], document["cniVersion"]) == (1, 5, "0.4.0")


def test_a_termination_signal_still_gives_one_object(start: Run, tmp_path: Path) -> None:
    seen = threading.Event()

    def serve(connection: socket.socket) -> None:
        receive(connection)
        seen.set()
        ended.wait(20)

    ended = threading.Event()
    with agent(tmp_path, serve):
        process = start(call("ADD"))
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(configuration()).encode())
        process.stdin.close()
        assert seen.wait(10)
        process.send_signal(signal.SIGTERM)
        document = json.loads(process.stdout.read())
        ended.set()
    assert (process.wait(10), document["code"]) == (1, 11)


def test_signals_that_only_interrupt_do_no_harm(start: Run, tmp_path: Path) -> None:
    seen = threading.Event()

    def serve(connection: socket.socket) -> None:
        receive(connection)
        seen.set()
        connection.sendall(b"\0")
        stopped.wait(10)
        connection.sendall(b"{}\n")

    stopped = threading.Event()
    with agent(tmp_path, serve):
        process = start(call("ADD"))
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(configuration()).encode())
        process.stdin.close()
        assert seen.wait(10)
        for _ in range(20):  # stop and continue make poll return early
            process.send_signal(signal.SIGSTOP)
            process.send_signal(signal.SIGCONT)
        stopped.set()
        assert process.stdout.read() == b"{}\n"
    assert process.wait(10) == 0


def test_a_closed_output_is_no_success(start: Run, tmp_path: Path) -> None:
    def serve(connection: socket.socket) -> None:
        receive(connection)
        connection.sendall(b"\0{}\n")

    read, write = os.pipe()
    os.close(read)
    with agent(tmp_path, serve):
        process = start(call("ADD"), stdout=write)
        os.close(write)
        process.communicate(json.dumps(configuration()).encode(), timeout=20)
    assert process.returncode == 1


def test_a_socket_path_too_long_is_an_error_of_the_environment(start: Run) -> None:
    ended = finish(start(call("ADD", FELIX_CNI_SOCKET="/" + "x" * 300)), configuration())
    assert (ended.status, ended.code) == (1, 4)


def garbage(seed: int) -> bytes:
    """Return input as nobody sends it: pieces of the real thing, cut, doubled and mixed with any bytes."""
    chance = random.Random(seed)
    parts = [b'"cniVersion"', b'"felix_socket":"', b":", b'"', b"\\", b"\0", b"{", b"1.1.0", b"/" * 5000]
    pieces = [chance.choice([*parts, chance.randbytes(chance.randrange(200))]) for _ in range(chance.randrange(60))]
    return b"".join(pieces) * chance.choice([1, 1, 1, 50])


@pytest.mark.parametrize("verb", ["ADD", "DEL", "STATUS", "VERSION"])
def test_whatever_the_runtime_sends_one_object_or_success_is_the_answer(start: Run, tmp_path: Path, verb: str) -> None:
    (tmp_path / "deletes").mkdir()
    for seed in range(25):
        ended = finish(start(call(verb, CNI_ARGS="\x01\xff" * seed, CNI_NETNS="/" * seed)), garbage(seed))
        assert ended.status == (0 if verb in ("VERSION", "DEL") else 1) or ended.code in (4, 11), f"seed {seed}"
        assert ended.stdout == b"" if (verb, ended.status) == ("DEL", 0) else ended.document, f"seed {seed}"


def test_whatever_the_agent_sends_is_passed_on_or_an_error(start: Run, tmp_path: Path) -> None:
    for seed in range(25):
        reply = garbage(seed) + (b"\n" if seed % 2 else b"")

        def serve(connection: socket.socket, reply: bytes = reply) -> None:
            receive(connection)
            connection.sendall(reply)

        with agent(tmp_path, serve):
            ended = finish(start(call("ADD")), configuration())
        (tmp_path / "cni.sock").unlink()
        whole = len(reply) >= 2 and reply.endswith(b"\n")
        assert ended.stdout == (reply[1:] if len(reply) > 2 else b"") if whole else ended.code == 11, f"seed {seed}"


def test_the_shim_is_static_and_short(tmp_path: Path) -> None:
    build(shim := tmp_path / "felix")
    source = Path(__file__).parents[2] / "cni" / "shim.c"
    assert len(source.read_text().splitlines()) <= 340
    assert b"INTERP" not in subprocess.run(["readelf", "-lW", shim], capture_output=True, check=True).stdout
