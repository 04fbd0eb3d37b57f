"""Who the API server is, and who we are to it: kubeconfig files and the service account of a pod.

An edge: it reads files and the environment. The `kubernetes` package understands them; what of it does is imported when
they are read.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

from msgspec import Struct

from datastore.errors import Invalid, Unavailable
from datastore.kube.credentials import readers
from datastore.kube.kubeconfig import context_fault, current_context, refusal
from datastore.kube.plain_access import IN_CLUSTER, OWN, named_kubeconfig
from datastore.kube.tls import client_tls

log = logging.getLogger(__name__)


class Access(Struct, frozen=True):
    """How to reach one API server."""

    host: str
    port: int
    path: str
    """What comes before /api: empty but behind a proxy."""
    tls: ssl.SSLContext | None
    _configuration: Any
    """The `kubernetes` package's, which reads a pod's token again when it has been renewed."""
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
            settings = self._configuration.auth_settings().values()
        except Exception as error:  # as in read_access
            raise Unavailable(f"read who we are to the API server at {self.authority}: {error}") from None
        return {setting["key"]: setting["value"].strip() for setting in settings if setting["in"] == "header"}


def read_access(kubeconfig: str | None = None, context: str | None = None) -> Access:
    """Return the access of this kubeconfig, of KUBECONFIG's, of ~/.kube/config, or of a pod's service account.

    Raises Invalid: there is none, or it says nothing usable. Raises Unavailable: its certificates cannot be read, or
    its credential plugin gives nothing.
    """
    package = readers()
    configuration = package.configuration()
    plugin = ""
    named = named_kubeconfig(kubeconfig)
    try:
        if not named and IN_CLUSTER.exists():
            package.incluster_config.load_incluster_config(client_configuration=configuration)
        elif named:
            plugin = _load(named, context, configuration)
        else:
            own = Path.home() / OWN
            raise Invalid(f"KUBECONFIG is not set, there is no {own}, and this is no pod with a service account{_CURE}")
    except Exception as error:  # the package hands on whatever its readers meet in a file
        reason = " ".join(str(error).split())
        raise Invalid(f"read how to reach the Kubernetes API from {named or 'the usual places'}: {reason}") from None
    if plugin and not (configuration.api_key or configuration.cert_file):
        raise Unavailable(
            f'read who we are to the API server at {configuration.host}: the credential plugin "{plugin}" that'
            f" {named} names gave neither a token nor a certificate"
        )
    return _access(configuration)


_CURE = "; name a kubeconfig by KUBECONFIG, or in the datastore's URL: kubernetes:///PATH"


def _load(named: str, context: str | None, configuration: Any) -> str:
    """Fill in a configuration from kubeconfig files, and return the command of their credential plugin, if any."""
    package = readers().kube_config
    files = package.KubeConfigMerger(named)
    if files.config is None:
        raise Invalid(f"there is no such file{_CURE}")
    found = list(files.config_files.values())
    chosen = context or current_context(found)
    if fault := context_fault(found, chosen):
        raise Invalid(fault)
    loader = package.KubeConfigLoader(files.config, chosen, config_base_path=None)
    cluster, user = (part.value if part else {} for part in (loader._cluster, loader._user))
    if why := refusal(cluster, user):
        raise Invalid(why)
    loader.load_and_set(configuration)
    # It would run plugins in the midst of a request. When a token is refused, all is read anew.
    configuration.refresh_api_key_hook = None
    return str(user["exec"].get("command")) if "exec" in user else ""


def _access(configuration: Any) -> Access:
    url = urlsplit(configuration.host)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise Invalid(f'read how to reach the Kubernetes API: server "{configuration.host}" is no URL')
    if configuration.proxy and not proxy_bypass(url.hostname):
        log.warning(
            "the environment names the proxy %s, which is not used: the API server at %s is connected to directly",
            configuration.proxy,
            configuration.host,
        )
    port = url.port or (443 if url.scheme == "https" else 80)
    tls = _tls(configuration) if url.scheme == "https" else None
    return Access(url.hostname, port, url.path.rstrip("/"), tls, configuration, configuration.tls_server_name)


def _tls(configuration: Any) -> ssl.SSLContext:
    try:
        return client_tls(
            "h2",
            authorities=configuration.ssl_ca_cert,
            certificate=configuration.cert_file,
            key=configuration.key_file,
            verify=configuration.verify_ssl,
        )
    except (OSError, ssl.SSLError) as error:
        raise Unavailable(f"read the certificates for {configuration.host}: {error}") from None
