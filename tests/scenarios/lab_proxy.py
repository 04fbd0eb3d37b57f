"""Carries out a test's requests inside a running lab: `python -m tests.scenarios.lab_proxy FIRST_PROCESS`.

Entering a lab's namespaces cannot be undone, so a test starts this process and stays outside itself. Requests come on
standard input and answers go to standard output, a JSON line each:

    {"verb": …}                                → {"answer": …} or {"failed": "…"}: as the control socket says
    {"run": ["ip", "route"], "place": "n1"}    → {"answer": {"status": 0, "out": "…", "err": "…"}}; place "world" is
                                                 where the bridges between the nodes are
    {"page": "status", "place": "n1"}          → {"answer": {…}}: a page of the agent, empty while it is away
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from lab.host import HostError, ask_within
from lab.namespaces import NEWIPC, NEWNET, NEWNS, NEWPID, NEWUSER, NEWUTS, SEARCH_PATH, enter

WORLD = "world"


def main() -> None:
    enter(int(sys.argv[1]), NEWUSER | NEWNS | NEWNET | NEWUTS | NEWIPC | NEWPID)
    for line in sys.stdin:
        try:
            answer = {"answer": answered(json.loads(line))}
        except HostError as error:
            answer = {"failed": str(error)}
        print(json.dumps(answer), flush=True)


def answered(request: Mapping[str, Any]) -> Any:
    match request:
        case {"run": [*command], "place": place}:
            return run(place, command)
        case {"page": page, "place": place}:
            return fetch(place, page)
    return ask_within(request)


def run(place: str, command: list[str]) -> dict[str, Any]:
    if place != WORLD:
        holder = ask_within({"verb": "namespace_pid", "node": place})
        command = ["/usr/bin/nsenter", "--target", str(holder), "--net", "--mount", "--uts", "--", *command]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": SEARCH_PATH})
    return {"status": done.returncode, "out": done.stdout, "err": done.stderr}


def fetch(place: str, page: str) -> dict[str, Any]:
    """Read a page from the agent's socket, which lies in the place's own /run: reached through its root.

    An agent that is busy or ends refuses with a sentence, which is no page.
    """
    holder = ask_within({"verb": "namespace_pid", "node": place})
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(f"/proc/{holder}/root/run/felix/status.sock")
            connection.sendall(f"GET /{page} HTTP/1.0\r\n\r\n".encode())
            printed = b"".join(iter(lambda: connection.recv(65536), b""))
        except OSError:
            return {}
    head, _, body = printed.partition(b"\r\n\r\n")
    return dict(json.loads(body)) if b" 200 " in head.partition(b"\r\n")[0] else {}


main()
