"""Who the API server is, and who we are to it: kubeconfig files and the service account of a pod.

An edge: it reads files and the environment. Who gets credentials from a program or a provider has them by the
`kubernetes` package, which takes a third of a second to import, so everybody else does without it.
"""

from __future__ import annotations

import logging
import os
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from datastore.errors import Invalid, Unavailable
from datastore.kube.kubeconfig import Chosen, ConfigFile, choose, inline

log = logging.getLogger(__name__)

IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
OWN = Path(".kube/config")
"""In the home folder."""
TOKEN_SECONDS = 60.0
"""How long a token that was read from a file is used; kubelets renew theirs long before they expire."""

_CURE = "; name a kubeconfig by KUBECONFIG, or in the datastore's URL: kubernetes:///PATH"


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach one API server."""

    host: str
    port: int
    path: str
    """What comes before /api: empty but behind a proxy."""
    tls: ssl.SSLContext | None
    _identify: Callable[[], Mapping[str, str]]
    server_name: str | None = None
    """Whose certificate the server must show, if not that of `host`."""

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def headers(self) -> Mapping[str, str]:
        """Return what proves who we are, as of now: a token in a file is read again when it has been renewed.

        Raises Unavailable: it cannot be read just now.
        """
        try:
            return self._identify()
        except (OSError, ValueError) as error:
            raise Unavailable(f"read who we are to the API server at {self.authority}: {error}") from None


def read_access(kubeconfig: str | None = None, context: str | None = None) -> Access:
    """Return the access of this kubeconfig, of KUBECONFIG's, of ~/.kube/config, or of a pod's service account.

    Raises Invalid: there is none, or it says nothing usable. Raises Unavailable: its certificates cannot be read, or
    its credential plugin gives nothing.
    """
    own = Path.home() / OWN
    named = kubeconfig or os.environ.get("KUBECONFIG") or (str(own) if own.exists() else None)
    try:
        if named:
            chosen = choose(_read_files(named), context)
        elif IN_CLUSTER.exists():
            chosen = _service_account(IN_CLUSTER)
        else:
            raise Invalid(f"KUBECONFIG is not set, there is no {own}, and this is no pod with a service account{_CURE}")
        return _access(chosen, named or "")
    except Invalid as error:
        raise Invalid(f"read how to reach the Kubernetes API from {named or 'the usual places'}: {error}") from None


def _read_files(named: str) -> list[ConfigFile]:
    """Return what the files of a list as KUBECONFIG's hold; those that do not exist are left out. Raises Invalid."""
    files = []
    for path in (Path(part).expanduser() for part in named.split(os.pathsep) if part):
        try:
            content = yaml.load(path.read_bytes(), yaml.CSafeLoader)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise Invalid(f"{path}: {' '.join(str(error).split())}") from None
        files.append(ConfigFile(path.absolute().parent, content))
    if not files:
        raise Invalid(f"there is no such file{_CURE}")
    return files


def _service_account(folder: Path) -> Chosen:
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{part}") for part in ("HOST", "PORT"))
    if not host or not port:
        raise Invalid("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set, as they are in a pod")
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    cluster = {"server": server, "certificate-authority": str(folder / "ca.crt")}
    return Chosen("", cluster, {"tokenFile": str(folder / "token")})


def _access(chosen: Chosen, named: str) -> Access:
    server = str(chosen.cluster["server"])
    url = urlsplit(server if "://" in server else f"http://{server}")
    if url.scheme not in ("http", "https") or not url.hostname:
        raise Invalid(f'server "{server}" is no URL')
    _tell_of_proxy(url.scheme, url.hostname, server)
    user = chosen.user
    if "exec" in user or "auth-provider" in user:
        user = _by_package(chosen, named, server)
    port = url.port or (443 if url.scheme == "https" else 80)
    tls = _tls(chosen.cluster, user) if url.scheme == "https" else None
    name = chosen.cluster.get("tls-server-name")
    return Access(url.hostname, port, url.path.rstrip("/"), tls, _identity(user), name)


def _identity(user: Mapping[str, Any]) -> Callable[[], Mapping[str, str]]:
    """Return what tells who we are at any time: by a token, a password, or nothing where a certificate does."""
    token = str(user.get("token") or "").strip()
    if path := user.get("tokenFile"):
        return _TokenFile(Path(path), token)
    headers = {}
    if token:
        headers = {"authorization": f"Bearer {token}"}
    elif name := user.get("username"):
        pair = f"{name}:{user.get('password', '')}".encode()
        headers = {"authorization": f"Basic {b64encode(pair).decode()}"}
    return lambda: headers


class _TokenFile:
    """A token that somebody renews in its file. first: what counts until it can be read."""

    def __init__(self, path: Path, first: str) -> None:
        self._path, self._token, self._read_at = path, first, float("-inf")

    def __call__(self) -> Mapping[str, str]:
        """Raises OSError, ValueError: there is none yet."""
        if time.monotonic() - self._read_at > TOKEN_SECONDS:
            try:
                self._read()
            except (OSError, ValueError) as error:
                if not self._token:
                    raise
                log.warning("%s; the token that is known is used, next try in %g s", error, TOKEN_SECONDS)
            self._read_at = time.monotonic()
        return {"authorization": f"Bearer {self._token}"}

    def _read(self) -> None:
        token = self._path.read_text().strip()
        if not token:
            raise ValueError(f"{self._path} is empty")
        self._token = token


def _by_package(chosen: Chosen, named: str, server: str) -> Mapping[str, Any]:
    """Return the credentials that a program or a provider gives, as a user of a kubeconfig has them.

    It would ask for them anew in the midst of a request. Here all is read anew when a token is refused.
    """
    from kubernetes import client
    from kubernetes.config import kube_config

    package: Any = kube_config  # without types
    configuration = client.Configuration()
    try:
        files = package.KubeConfigMerger(named)
        package.KubeConfigLoader(files.config, chosen.context, config_base_path=None).load_and_set(configuration)
    except Exception as error:  # the package hands on whatever its readers meet in a file
        raise Invalid(" ".join(str(error).split())) from None
    token = configuration.api_key.get("BearerToken", "").removeprefix("Bearer ")
    if not token and not configuration.cert_file:
        source = f'credential plugin "{chosen.plugin}"' if chosen.plugin else "auth-provider"
        raise Unavailable(
            f"read who we are to the API server at {server}: the {source} that {named} names gave neither"
            " a token nor a certificate"
        )
    return {"token": token, "client-certificate": configuration.cert_file, "client-key": configuration.key_file}


def _tell_of_proxy(scheme: str, host: str, server: str) -> None:
    if not any(name.lower() in (f"{scheme}_proxy", "all_proxy") for name in os.environ):
        return
    from urllib.request import getproxies, proxy_bypass  # imported late: it imports much

    if (proxy := getproxies().get(scheme)) and not proxy_bypass(host):
        log.warning(
            "the environment names the proxy %s, which is not used: the API server at %s is connected to directly",
            proxy,
            server,
        )


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> ssl.SSLContext:
    authority = inline(cluster, "certificate-authority")
    try:
        context = ssl.create_default_context(
            cafile=None if authority else cluster.get("certificate-authority") or None,
            cadata=authority.decode("ascii") if authority else None,
        )
        with ExitStack() as files:
            certificate = _file(files, user, "client-certificate")
            if certificate:
                context.load_cert_chain(certificate, _file(files, user, "client-key"), password="")
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        paths = (cluster.get("certificate-authority"), user.get("client-certificate"), user.get("client-key"))
        where = ", ".join(str(path) for path in paths if path) or "the kubeconfig itself"
        raise Unavailable(f"read the certificates for {cluster['server']} from {where}: {error}") from None
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python 3.13's; clusters have certificates that Go's clients take
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


def _file(files: ExitStack, user: Mapping[str, Any], name: str) -> str | None:
    """Return the path of a user's certificate or key, which OpenSSL reads from files only."""
    data = inline(user, name)
    return user.get(name) if data is None else files.enter_context(_in_memory(data))


@contextmanager
def _in_memory(data: bytes) -> Iterator[str]:
    """Yield the path of a file that is on no disk: a key is for this process alone."""
    with os.fdopen(os.memfd_create("kubeconfig"), "wb") as file:
        file.write(data)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"
