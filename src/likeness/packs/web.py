"""HTTP as pip would do it: the user's proxy, certificates, trusted hosts, credentials; npm's tokens for npm's index."""

import netrc
import os
import ssl
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

import urllib3
from urllib3.exceptions import HTTPError, InsecureRequestWarning, LocationParseError

from likeness.errors import PackDownloadFailed
from likeness.packs.npm_settings import NpmSettings
from likeness.packs.pip_settings import PipSettings

_CONNECT_WITHIN_S = 20.0
_MAX_REDIRECTS = 8


@dataclass
class Web:
    """Opens URLs with a user's pip and npm settings. Errors are PackDownloadFailed, and never show a password."""

    settings: PipSettings
    npm: NpmSettings = field(default_factory=NpmSettings)
    _managers: dict[tuple[str, bool], urllib3.PoolManager] = field(default_factory=dict)

    @contextmanager
    def open(self, url: str, *, accept: str = "*/*", start: int = 0) -> Iterator[urllib3.BaseHTTPResponse]:
        """The streamed answer to a GET of `url` (any status below 500 but 429), closed at the end.

        `start` asks for the bytes from there on.
        """
        headers = {"User-Agent": "likeness", "Accept": accept, "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        plain, credentials = split_credentials(url)
        credentials = credentials or self._credentials_for(plain)
        if credentials:
            headers |= urllib3.make_headers(basic_auth=credentials)
        elif authorization := self.npm.authorization_for(plain):
            headers["Authorization"] = authorization
        timeout = urllib3.Timeout(connect=min(self.settings.timeout_s, _CONNECT_WITHIN_S), read=self.settings.timeout_s)
        try:
            response = self._manager(plain).request(
                "GET", plain, headers=headers, preload_content=False, timeout=timeout, retries=self._retries()
            )
        except (HTTPError, LocationParseError, OSError, ValueError) as error:
            raise PackDownloadFailed(f"{host_of(url)} does not answer: {_cause(error)}") from error
        try:
            yield response
        finally:
            response.close()

    def read_page(self, url: str, *, accept: str, limit: int) -> tuple[int, str, str, bytes]:
        """(status, content type, final URL, body) of a page of at most `limit` bytes, whole within twice the time
        limit.
        """
        deadline = time.monotonic() + 2 * self.settings.timeout_s
        with self.open(url, accept=accept) as response:
            body = bytearray()
            try:
                while block := response.read1(1 << 16):
                    body += block
                    if len(body) > limit or time.monotonic() > deadline:
                        why = f"more than {limit} bytes" if len(body) > limit else "too slow"
                        raise PackDownloadFailed(f"{redacted(url)}: the page is {why}")
            except (HTTPError, OSError) as error:
                raise PackDownloadFailed(f"{redacted(url)}: the answer broke off: {_cause(error)}") from error
            final = response.geturl() or url
            return response.status, response.headers.get("Content-Type", ""), _final_address(url, final), bytes(body)

    def _retries(self) -> urllib3.Retry:
        # A server that stays silent is not asked again: its time limit is the whole wait. Refusals and 5xx are, with
        # growing pauses.
        return urllib3.Retry(
            total=self.settings.retries + _MAX_REDIRECTS,
            connect=min(self.settings.retries, 2),
            read=0,
            redirect=_MAX_REDIRECTS,
            status=self.settings.retries,
            other=0,
            status_forcelist=(429, 500, 502, 503, 504, 520, 527),
            backoff_factor=0.25,
            backoff_max=8,
            respect_retry_after_header=False,
            raise_on_status=False,
            raise_on_redirect=True,
        )

    def _credentials_for(self, url: str) -> str:
        """user:password for a URL without: those of an index on the same host, or netrc's."""
        host = urlsplit(url).netloc
        for index in (*self.settings.indexes, *self.settings.find_links):
            plain, credentials = split_credentials(index)
            if credentials and urlsplit(plain).netloc == host:
                return credentials
        return _from_netrc(urlsplit(url).hostname or "")

    def _manager(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        proxy = self._proxy_for(parts.scheme, parts.netloc)
        key = (proxy, self._is_trusted(parts.hostname or "", parts.port))
        if key not in self._managers:
            self._managers[key] = self._new_manager(*key)
        return self._managers[key]

    def _new_manager(self, proxy: str, trusted: bool) -> urllib3.PoolManager:
        context = self._ssl_context(trusted)
        if not proxy:
            return urllib3.PoolManager(ssl_context=context)
        plain, credentials = split_credentials(proxy if "://" in proxy else f"http://{proxy}")
        if urlsplit(plain).scheme not in ("http", "https"):
            raise PackDownloadFailed(
                f"the proxy {redacted(plain)} is not an HTTP proxy; set an http:// proxy in pip's configuration"
            )
        headers = urllib3.make_headers(proxy_basic_auth=credentials) if credentials else None
        return urllib3.ProxyManager(plain, proxy_headers=headers, ssl_context=context)

    def _ssl_context(self, trusted: bool) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.settings.ca_file or _default_ca_file())
            if self.settings.client_certificate:
                context.load_cert_chain(self.settings.client_certificate)
        except OSError as error:
            file = self.settings.ca_file or self.settings.client_certificate
            raise PackDownloadFailed(
                f"the certificate file {file} of pip's configuration cannot be used: {error}"
            ) from error
        if trusted:
            # The user chose this with pip's trusted-host; the hash of the file is checked all the same.
            urllib3.disable_warnings(InsecureRequestWarning)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _proxy_for(self, scheme: str, netloc: str) -> str:
        if self.settings.proxy:
            return self.settings.proxy
        if urllib.request.proxy_bypass(netloc):
            return ""
        proxies = urllib.request.getproxies()
        return proxies.get(scheme) or proxies.get("all") or ""

    def _is_trusted(self, host: str, port: int | None) -> bool:
        return any(trusted in (host, f"{host}:{port}") for trusted in self.settings.trusted_hosts)


def split_credentials(url: str) -> tuple[str, str]:
    """(URL without credentials, "user:password" or "")."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url, ""
    credentials, _, host = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    return urlunsplit(parts._replace(netloc=host)), f"{unquote(user)}:{unquote(password)}"


def redacted(url: str) -> str:
    """`url` as it may be shown: without credentials and query."""
    parts = urlsplit(split_credentials(url)[0])
    return urlunsplit(parts._replace(query="", fragment=""))


def host_of(url: str) -> str:
    """The host of `url`, for people."""
    return urlsplit(url).netloc.rpartition("@")[2] or redacted(url)


def _final_address(url: str, final: str) -> str:
    """The absolute address that a request for `url` ended at, given what the client says (it may be only a path)."""
    return urljoin(split_credentials(url)[0], final)


def _cause(error: BaseException) -> str:
    """The innermost reason of a chain of HTTP errors, in one line."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return _cause(reason)
    text = str(error) or type(error).__name__
    return text.rpartition("object at 0x")[2].partition(">: ")[2] or text


def _from_netrc(host: str) -> str:
    try:
        path = Path(os.environ.get("NETRC") or Path.home() / ("_netrc" if os.name == "nt" else ".netrc"))
        entry = netrc.netrc(path).hosts.get(host) if path.is_file() else None
    except (OSError, netrc.NetrcParseError, RuntimeError):
        return ""
    return f"{entry[0]}:{entry[2]}" if entry else ""


def _default_ca_file() -> str | None:
    """pip's own certificates where the system has none (as on some macOS installations), otherwise None."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile or paths.capath or os.name == "nt":
        return None
    spec = find_spec("pip")
    bundled = Path(spec.origin).parent / "_vendor/certifi/cacert.pem" if spec and spec.origin else None
    return str(bundled) if bundled and bundled.is_file() else None
