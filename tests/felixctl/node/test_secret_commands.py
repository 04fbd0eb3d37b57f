"""Which words of a command are secrets. The forms among other text are in test_redaction.py."""

from __future__ import annotations

import pytest

from felixctl.node.secret_commands import commanded


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("sshpass -p x ssh -p 22 h", ["x"]),
        ("sshpass -px ssh", ["x"]),
        ("sshpass -e ssh -p 22 h", []),
        ("mysql -u a -p'x y' b; mysqldump -pz", ["'x y'", "z"]),
        ("mysql -u a -p", []),
        ("mysql -P 3306", []),
        ("psql -p 5432", []),
        ("docker login -p x h", ["x"]),
        ("docker run -p 80:80 h", []),
        ('["ipmitool", "-P", "x"]', ['"x"']),
        ("snmp-server community x RO", ["x"]),
        ("snmp-server community <left out> RO", []),
        ("community x RW", ["x"]),
        ("community 64512:100 rw", []),
        ("set community 64512:100 additive", []),
    ],
)
def test_the_value_of_an_option_or_place(text: str, values: list[str]) -> None:
    assert [text[start:end].strip("]") for start, end in commanded(text)] == values
