"""No secret leaves a node in an archive, and what is none stays to be read."""

from __future__ import annotations

import json
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from felixctl.node import redaction
from felixctl.node.secret_values import LEFT_OUT

SECRET = "hunter2Zq"
BASIC = "dTpodW50ZXIyWnE="  # u:hunter2Zq
FORMS = r"""
{"password":"%"}
passwords: {a: %}
"passwords": {"a": {"b": ["%"]}}
{password: ab}%}
Authorization: Bearer %
curl -H 'Authorization: Basic %' http://h
map[Authorization:[Bearer %] Accept:[x]]
"Authorization": "Bearer %"
X-Auth-Token: %
Cookie: a=b; sid=%
msg="x" record="{\"password\": \"%\"}"
{"msg":"{\"a\":\"{\\\"password\\\":\\\"%\\\"}\"}"}
{\u0022password\u0022:\u0022%\u0022}
&quot;password&quot;:&quot;%&quot;
%22password%22%3A%22%%22
"config": "user: a\npassword: x % y\nz: 1"
"config": "a:\n  password: |\n    %\nz: 1"
psk: %
: PSK "%"
PrivateKey = %
private key: %
pre-shared key: %
key-string %
enable secret 5 %
radius-server key %
crypto isakmp key 6 % address 192.0.2.1
 ip ospf message-digest-key 1 md5 %
pre-shared-key local %
<password type="x">%</password>
authentication-key "%"
https://u:p/%@h/x
https://%@h/x
sqlite://u:a@%@h/x
dsn=u:%@tcp(h:1)/db
-u bob:%
--token=%
--token %
["--password", "%"]
--from-literal=password=%
https://h/p?a=b&token=%&c=d
http://h/?key=%
--data password=%&user=x
neighbor 192.0.2.1 password %
 neighbor 192.0.2.1 password encrypted %
md5-password %;
md5-password '%';
    password "%" { id 1; };
client-key-data: %
"client-key-data": "%",
{"name":"BGP_PASSWORD","value":"%"}
{"value":"%","name":"BGP_PASSWORD"}
PASSWORD=%
export DB_PASS='it'\''s %'
password: it''s %
password: 'it''s %'
BGP_PASSWORD: '%'
CNI_ARGS=K8S_POD_NAME=x;PASSWORD=%;A=b
aws_secret_access_key = %
{"kind":"Secret","data":{"a":"%"}}
{"data":{"a":"%"},"kind":"Secret"}
tls.key: %
<password>%</password>
password: correct % staple
password: !!str %
{password: !!str %, a: b}
password: &a %
password: ab,%
password is %
password=>%
"password"  :   "%"
machine h login u password %
level=debug password="a \"%\" b"
example.com/password: %
2026-01-01 INFO login password=%, user=x
{"apiKey":12,"accessToken":"%"}
tcp-md5 key %
neighbor 192.0.2.1 md5 key %
BGP_MD5=%
enckey=%
otp=%
dbpass=%
bindpw %
rootpw %
requirepass %
masterauth %
setPassword("%")
client.setPassword(user, "%")
setPassword("u", "%");
password("%")
password (%)
Password for user x: %
[sudo] password for bob: %
Enter password (again): %
pa\u0073sword: %
{"\u0070assword":"%"}
{"a":"{\"pa\\u0073sword\":\"%\"}"}
snmp-server community % RO
snmp-server host 192.0.2.9 version 2c %
rocommunity % 192.0.2.0/24
snmpwalk -v2c -c % 192.0.2.1
sshpass -p % ssh u@h
sshpass -p% ssh u@h
sshpass -P prompt -p % ssh u@h
args: [sshpass, -p, %, ssh]
SSHPASS=% sshpass -e ssh u@h
sshpass -v -p '%' ssh -p 22 u@h
sshpass -p 'ab %' ssh u@h
["sshpass", "-p", "%", "ssh"]
mysql -p %
mysql -p%
mysql -h db -u root -p% name
docker login -u x -p % registry.example.com
redis-cli -h db -a % ping
ldapsearch -x -D cn=admin -w % -b dc=x
""".strip().splitlines()
BLOCKS = [
    "password: |\n  %\n  %\nuser: x",
    "password: >-\n    %\n\n    %\n",
    "- password: |-\n    %\n  user: x",
    "password: # why\n  %",
    "password: 'ab\n\n  %'",
    'password: "ab\n  %"',
    "? password\n: %",
    "passwords:\n  a: %\n  b: %\n",
    "passwords:\n- %\n- %\n",
    '"passwords": {\n  "a": "%"\n}',
    "- name: BGP_PASSWORD\n  value: %",
    "- value: %\n  name: BGP_PASSWORD",
    "args:\n- --password\n- %",
    "kind: Secret\ndata:\n  foo: %\n  bar: %\n",
    "---\ndata:\n  foo: %\nkind: Secret\n---\na: b",
    "-----BEGIN RSA PRIVATE KEY-----\n%\n-----END RSA PRIVATE KEY-----",
    "  -----BEGIN PRIVATE KEY-----\\n%\\n-----END PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n%\n%",
    "%\n%\n-----END PRIVATE KEY-----",
    "PASSWORD=ab\\\n%",
    'password="""%"""',
    '"password"\n:\n"%"',
    '{\n"password":\n"%"\n}',
    '{\n"passwords"\n:\n[\n"%"]}',
    "- mysql\n- -u\n- root\n- -p\n- %",
]
HARMLESS = r"""
10.65.1.0/26 via 192.0.2.2 dev eth0 proto 81
keepalive 30; hold-time 90;
2026-11-29 INFO bgp: session with 192.0.2.2 (AS 64512) is Established
secretKeyRef: {name: s, key: k}
password: {secretKeyRef: {name: s, key: k}}
"password":{"secretKeyRef":{"key":"k","name":"s"}}
password: null
password: ""
automountServiceAccountToken: false
secretName: s
--token-file=/x/y
open /var/run/secrets/kubernetes.io/serviceaccount/token: permission denied
secrets "x" is forbidden
the token is missing
matchExpressions: [{key: a, operator: In}]
SyncookiesSent SyncookiesRecv TCPMD5NotFound 0 0 0
PWD=/root
12: cali12@if3: <BROADCAST,MULTICAST,UP> mtu 1500
https://example.com/a/@b
-----BEGIN CERTIFICATE-----
k8s-pod-network.0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
{"monkey": "x", "author": "y", "passive": true}
community 64512:100
set community 64512:100 additive
communities: ["64512:100", "64512:1:2"]
bgp_community.add((64512, 100));
sshpass: command not found
sshpass -e ssh -p 22 root@192.0.2.1
docker run -p 80:80 x
the mysql server listens, so connect by ssh -p 22 db
mysql -u root -p --host db
failed to get a password for user x: connection refused
password (optional)
C:\\users\\x
felix_bgp_sessions{peer="192.0.2.2",state="Established"} 1.0
""".strip().splitlines()


def hidden(form: str, secret: str) -> str:
    return form.replace("%22", "\0").replace("%3A", "\1").replace("%", secret).replace("\0", "%22").replace("\1", "%3A")


@pytest.mark.parametrize("form", [*FORMS, *BLOCKS])
def test_a_secret_is_left_out(form: str) -> None:
    out = redaction.text(hidden(form, BASIC if "Basic" in form else SECRET))
    assert SECRET not in out
    assert BASIC not in out
    assert LEFT_OUT in out
    assert redaction.text(out) == out


@pytest.mark.parametrize(
    "secret",
    [
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "$6$salt$hash./ab",
        "ghp_0123456789abcdefABCD",
        "abcdef.0123456789abcdef",
        "hmac(sha1) 0x00112233445566778899",
    ],
)
def test_a_secret_is_known_by_its_shape(secret: str) -> None:
    assert secret not in redaction.text(f"a {secret} b")


@pytest.mark.parametrize("text", [*HARMLESS, "password:\n  secretKeyRef:\n    name: s\n    key: k\nx: y\n"])
def test_what_is_no_secret_stays(text: str) -> None:
    assert redaction.text(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("sshpass -p mySecretWord ssh h", f"sshpass -p {LEFT_OUT} ssh h"),
        ("snmp-server community mySecretWord RO", f"snmp-server community {LEFT_OUT} RO"),
        ("mysql -p'my password' name", f"mysql -p'{LEFT_OUT}' name"),
        ("md5 key mySecretWord;", f"md5 key {LEFT_OUT};"),
        ('setPassword("mySecret", "password x") done', f'setPassword("{LEFT_OUT}") done'),
    ],
)
def test_a_secret_that_sounds_like_a_name_does_not_take_the_next_word(text: str, left: str) -> None:
    assert redaction.text(text) == left


def test_a_key_without_an_end_does_not_take_a_word_of_the_next_line() -> None:
    line = 'secrets "x" is forbidden'
    assert redaction.text(f"-----BEGIN PRIVATE KEY-----\nAbCdEf12\n{line}").endswith(f"{LEFT_OUT}\n{line}")


secrets = st.text("abcdefgXYZ0123456789+/=.-_", min_size=8, max_size=60).map(lambda s: f"Zq{s}7")
lines = st.lists(st.sampled_from(HARMLESS), max_size=4)


@settings(deadline=None)
@given(secrets, lines, st.sampled_from([*FORMS, *BLOCKS]), lines)
def test_no_secret_survives_in_any_form_among_other_lines(
    secret: str, before: list[str], form: str, after: list[str]
) -> None:
    """The lines before a secret stay, and those after it, as long as they are no part of its form."""
    if "Basic" in form:
        return
    if "KEY-----" in form:
        secret = re.sub("[=._-]", "A", secret)
    if "://%" in form:
        secret = secret.replace("/", "A")  # a slash ends what may be a user's name
    text = "\n".join([*before, hidden(form, secret), "", *after])
    out = redaction.text(text)
    assert secret not in out
    assert out.startswith("".join(f"{line}\n" for line in before))
    assert out.endswith("".join(f"\n{line}" for line in after))


@settings(deadline=None)
@given(st.lists(st.sampled_from(HARMLESS)))
def test_a_text_without_secrets_is_unchanged(chosen: list[str]) -> None:
    assert redaction.text("\n".join(chosen)) == "\n".join(chosen)


@settings(deadline=None)
@given(st.lists(st.sampled_from([*FORMS, *BLOCKS, *"\\\"'{}[]:=, \n|", "password", "token: ", "\\n"])).map("".join))
def test_no_text_is_too_odd(text: str) -> None:
    redaction.text(text)


SEEDS = r"""
a| |token|password=|password: {|[{|\|"|\"|'|://|a://b:|eyJ|$1$|-----BEGIN PRIVATE KEY-----|key |name: token value: |
kind: Secret |token\n|a.b-|%22token|-u a:|x@tcp(|data: |key="|, |password=a,|token: \n|hmac(|basic |/token|value=|
value="|
password |password(|password("a",|password for a: |password for |mysql |mysql -|mysql -p |sshpass -|
community |snmp-server host |"password"\n:\n|"password":\n|\u0061|\u007|password (|pw |md5 key |
password="\|password='a'|--token,|token [|é|- |private key|password: "|{"password": {|:|
""".replace("\n", "").split("|")
EXTRA = [
    "\n",
    " token:\n",
    "token: |\n ",
    "kind: Secret\n",
    "---\n",
    "\ttoken:\n\t",
    'token: "\n',
    "-----END A KEY-----\n",
]


@pytest.mark.parametrize("seed", [*filter(None, SEEDS), *EXTRA])
def test_the_time_grows_as_the_text(seed: str) -> None:
    """Ten times the text takes about ten times the time; a quadratic search would take a hundred times."""

    def seconds(size: int) -> float:
        text = (seed * (size // len(seed) + 1))[:size]
        started = time.process_time()
        redaction.text(text)
        return time.process_time() - started

    limit = 40 * max(min(seconds(5_000) for _ in range(3)), 0.001)
    assert any(seconds(50_000) < limit for _ in range(2))


def test_a_reference_to_a_secret_stays_and_the_secret_does_not() -> None:
    record = {
        "spec": {
            "password": {"secretKeyRef": {"name": "bgp", "key": "tor"}},
            "authToken": "abc",
            "peers": [{"md5": "abc", "asNumber": 65001}],
        },
        "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{…}"}},
    }
    assert redaction.record(record) == {
        "spec": {
            "password": {"secretKeyRef": {"name": "bgp", "key": "tor"}},
            "authToken": LEFT_OUT,
            "peers": [{"md5": LEFT_OUT, "asNumber": 65001}],
        },
        "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": LEFT_OUT}},
    }


@pytest.mark.parametrize(
    "record",
    [
        {"metadata": {"annotations": {"a/config": json.dumps({"password": SECRET})}}},
        {"metadata": {"annotations": {"a/config": f"user: x\npassword: {SECRET}\n"}}},
        {"metadata": {"annotations": {"a/config": "[" * 2000 + f'{{"password": "{SECRET}"}}'}}},
        {"metadata": {"annotations": {"example.com/password": SECRET, "example.com/key": SECRET}}},
        {"spec": {"passwords": {"a": SECRET}, "url": f"https://u:{SECRET}@h"}},
        {"spec": {"passwords": [SECRET, {"a": SECRET}]}},
        {"kind": "Secret", "data": {"a": SECRET}, "stringData": {"b": SECRET}},
        {"env": [{"name": "BGP_PASSWORD", "value": SECRET}]},
        {"args": ["--token", SECRET]},
    ],
)
def test_no_secret_stays_in_a_record(record: object) -> None:
    assert SECRET not in json.dumps(redaction.record(record))


def test_a_record_without_secrets_is_unchanged() -> None:
    record = {
        "metadata": {"name": "a", "annotations": {"a": '{"b": [1, null]}', "c": "the token is missing"}},
        "spec": {
            "selector": [{"key": "a", "operator": "In"}],
            "automountServiceAccountToken": False,
            "secretName": "s",
        },
    }
    assert redaction.record(record) == record
