"""A real etcd and kube-apiserver on free ports of the loopback, for any user; ready in a few seconds.

The programs come from `tests.kube.assets`. Nothing survives `stop`: the folder given holds all they write.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import time
import urllib.request
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

from tests.kube.assets import program

READY_SECONDS = 120.0
LOOK_SECONDS = 0.05
ADMIN_TOKEN = "admin"
ACCOUNTS = ("felix-py-node", "felix-py-controller", "felix-py-viewer", "felix-py-status")
"""ServiceAccounts of kube-system, with the rights that a test gives them; the token of each is its name."""
SERVICES = "10.96.0.0/16"
_SELDOM = {"GOGC": "400", "GOMEMLIMIT": "2GiB"}
"""For Go's search for garbage: a tenth of what these programs take, where memory is to be had."""


class ControlPlaneError(Exception):
    """The API server cannot be used; the message has the end of its log."""


@dataclass
class Program:
    """One running program of the control plane; its output goes to NAME.log in the folder."""

    name: str
    command: Sequence[str]
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env={**os.environ, **_SELDOM}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def wait(self) -> None:
        """Return when it has ended."""
        assert self.process
        self.process.wait()

    def end(self, *, in_order: bool = False) -> None:
        if self.process:
            (self.process.terminate if in_order else self.process.kill)()
            self.process.wait()


def user_of(account: str) -> str:
    """Return the user that one of ACCOUNTS is to the API server."""
    return f"system:serviceaccount:kube-system:{account}"


@dataclass(frozen=True, slots=True)
class Site:
    """Where a control plane runs, and who it is for."""

    url: str
    """By which this process reaches the API server."""
    listen: str
    port: int
    etcd_ports: tuple[int, int]
    """For its clients, and for its peers."""
    advertised: str = "192.0.2.254"
    enter: Sequence[str] = ()
    """The words that make a command run there."""
    accounts: Sequence[str] = tuple(f"{name},{user_of(name)},{name}" for name in ACCOUNTS)
    """Lines of its token file."""
    pods_have_tokens: bool = False
    """Where a controller-manager makes service accounts; without one no pod could be created."""


def site_here(address: str = "127.0.0.1") -> Site:
    """Return free ports of this namespace; the API server will listen at this address."""
    port, client, peer = free_ports(3)
    return Site(f"https://{address}:{port}", address, port, (client, peer))


class ControlPlane:
    """etcd and the API server of one cluster without nodes."""

    def __init__(self, folder: Path, flags: Sequence[str] = (), site: Site | None = None) -> None:
        """flags: more of them for the API server."""
        self.folder = folder
        self.site = site or site_here()
        self.etcd = self.make_program("etcd", *_etcd(folder, *self.site.etcd_ports))
        self.api_server = self.make_program("kube-apiserver", *_api_server(folder, self.site, flags))

    @property
    def url(self) -> str:
        return self.site.url

    def make_program(self, name: str, *arguments: str) -> Program:
        """Return a program of the test bed that runs where the control plane does; it is not started."""
        return Program(name, [*self.site.enter, str(program(name)), *arguments], self.folder)

    @property
    def certificate(self) -> Path:
        """The certificate that the API server made for itself."""
        return self.folder / "certificates" / "apiserver.crt"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.folder / "kubeconfig"

    def kubeconfig_of(self, account: str) -> Path:
        """Return the configuration of one of ACCOUNTS."""
        path = self.folder / f"kubeconfig-{account}"
        path.write_text(json.dumps(kubeconfig(self.url, self.certificate, account)))
        return path

    def start(self) -> None:
        """Start both and wait until the API server is ready. Raises ControlPlaneError."""
        accounts = (f"{ADMIN_TOKEN},admin,admin,system:masters", *self.site.accounts)
        (self.folder / "tokens.csv").write_text("".join(f"{line}\n" for line in accounts))
        subprocess.run(
            ("openssl", "genrsa", "-out", str(self.folder / "accounts.key"), "2048"), check=True, capture_output=True
        )
        self.etcd.start()
        self.api_server.start()
        self.wait_until_ready()
        self.kubeconfig.write_text(json.dumps(kubeconfig(self.url, self.certificate)))

    def stop(self) -> None:
        self.api_server.end()
        self.etcd.end()

    def restart_api_server(self, *, in_order: bool = False) -> None:
        """Kill it, or tell it to end, and start it anew: watches end, and older revisions are gone from its cache."""
        self.api_server.end(in_order=in_order)
        self.api_server.start()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready():
            for each in (self.etcd, self.api_server):
                if each.has_ended or time.monotonic() > deadline:
                    raise ControlPlaneError(f"start {each.name}: {_end_of(each.log)}")
            time.sleep(LOOK_SECONDS)

    def get(self, path: str, token: str) -> int:
        """Return the status of what the bearer of a token gets. Raises URLError: it is refused, or nothing answers."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        request = urllib.request.Request(f"{self.url}{path}", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:
            return int(answer.status)

    def stored(self) -> list[str]:
        """Return the names of all objects, as etcd has them: /registry/pods/default/web. It listens on the loopback."""
        all_keys = {"key": _encoded("/registry/"), "range_end": _encoded("/registry0"), "keys_only": True}
        url = f"http://127.0.0.1:{self.site.etcd_ports[0]}/v3/kv/range"
        with urllib.request.urlopen(url, json.dumps(all_keys).encode(), timeout=30) as answer:
            return [b64decode(found["key"]).decode() for found in json.load(answer).get("kvs", ())]

    def _is_ready(self) -> bool:
        try:
            return self.get("/readyz", ADMIN_TOKEN) == 200
        except (URLError, OSError):
            return False


def _encoded(key: str) -> str:
    return b64encode(key.encode()).decode()


def kubeconfig(url: str, certificate: Path | None = None, token: str = ADMIN_TOKEN) -> dict[str, object]:
    """Return the configuration of a client of an API server, as its administrator unless it says otherwise."""
    cluster = {"server": url, **({"certificate-authority": str(certificate)} if certificate else {})}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bed",
        "clusters": [{"name": "bed", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "bed", "context": {"cluster": "bed", "user": "admin"}}],
    }


@contextmanager
def running(folder: Path, flags: Sequence[str] = ()) -> Iterator[ControlPlane]:
    """A ready control plane, stopped at the end, also when it did not get ready."""
    control_plane = ControlPlane(folder, flags)
    try:
        control_plane.start()
        yield control_plane
    finally:
        control_plane.stop()


def _etcd(folder: Path, client: int, peer: int) -> list[str]:
    clients, peers = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    return [
        *("--data-dir", str(folder / "etcd"), "--unsafe-no-fsync", "--log-level", "warn"),
        *("--listen-client-urls", clients, "--advertise-client-urls", clients),
        *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}"),
    ]


def _api_server(folder: Path, site: Site, flags: Sequence[str]) -> list[str]:
    key = str(folder / "accounts.key")
    return [
        f"--etcd-servers=http://127.0.0.1:{site.etcd_ports[0]}",
        *(f"--bind-address={site.listen}", f"--advertise-address={site.advertised}", f"--secure-port={site.port}"),
        f"--cert-dir={folder / 'certificates'}",
        *(f"--token-auth-file={folder / 'tokens.csv'}", "--authorization-mode=Node,RBAC"),
        "--enable-admission-plugins=NodeRestriction",
        *(() if site.pods_have_tokens else ("--disable-admission-plugins=ServiceAccount",)),
        f"--service-cluster-ip-range={SERVICES}",
        "--service-account-issuer=https://kubernetes.default.svc",
        *(f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"),
        *flags,
    ]


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback that nobody has just now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _end_of(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "; ".join(lines[-5:]) or "it wrote nothing"
