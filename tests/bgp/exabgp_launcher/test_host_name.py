"""Who is asked for the host name, and how often."""

from __future__ import annotations

from pathlib import Path

from bgp.exabgp_launcher.protocol_version import VERSION
from tests.bgp.exabgp_launcher.in_python import in_python, patched


def test_the_host_name_of_every_line_is_looked_up_once() -> None:
    done = patched(
        "import socket\n"
        "from exabgp.reactor.api.response.json import JSON\n"
        "name = socket.gethostname()\n"
        "socket.gethostname = lambda: 'asked again'\n"
        "line = JSON('5')._header('', '', '', None, 'state')\n"
        'assert f\'"host" : "{name}"\' in line, line'
    )
    assert done.returncode == 0, done.stderr


def test_no_resolver_is_asked_at_start(tmp_path: Path) -> None:
    empty = tmp_path / "exabgp.conf"
    empty.write_text("")
    run = (
        "import socket, sys\n"
        "def asked(*_): raise SystemExit(99)\n"
        "socket.getfqdn = socket.gethostbyaddr = asked\n"
        "from bgp.exabgp_launcher import __main__ as launcher\n"
        "{}"
        f"sys.argv = ['exabgp_launcher', '--protocol', '{VERSION}', '--validate', {str(empty)!r}]\n"
        "launcher.main()"
    )
    assert in_python(run.format("")).returncode == 1, "it gets as far as to find the file empty"
    # And without the replacement it is: the test means something.
    without = "launcher.set_host_name = lambda: None\n"
    assert in_python(run.format(without)).returncode == 99
