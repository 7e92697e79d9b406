"""Checks of combinations of settings, at start rather than at the first request."""

import os
import ssl
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from likeness.aws.addresses import parse_network
from likeness.aws.keys import load_keys
from likeness.errors import SettingsError
from likeness.server.forwarded import ANY_PEER
from likeness.server.settings import Settings, smallest_body_limit
from likeness.sources.stores import open_store
from likeness.system.processors import thread_budget


def check(settings: Settings) -> None:
    """Raises SettingsError, with the settings' names and what to do, for settings that do not go together."""
    _check_access(settings)
    _check_listening(settings)
    _check_capacity(settings)
    _check_s3(settings)
    if settings.shadow == settings.pack:
        raise SettingsError(f"shadow = {settings.shadow} is the pack itself: name one that is to be compared with it")


def _check_access(settings: Settings) -> None:
    """Decision 20: listening beyond loopback without keys must be explicit."""
    if settings.signed and settings.has_keys:
        load_keys(settings.keys)
    if settings.auth == "sigv4" and not settings.has_keys:
        raise SettingsError(
            f"auth = sigv4, but there is no key file {settings.keys}: "
            f"create a key with `likeness keys create --name NAME --keys {settings.keys}`"
        )
    if settings.auth is None and not settings.signed and not settings.on_loopback:
        raise SettingsError(
            f"host = {settings.host} can be reached from other machines, and there is no key file {settings.keys}. "
            "Create a key with `likeness keys create --name NAME`, or, if everybody who can reach this address may "
            "compare faces, set auth = none (--auth none)"
        )
    if settings.rates and not settings.signed:
        raise SettingsError("[rates] names keys, but authentication is off; use rate_per_second, or set auth = sigv4")
    if settings.clock_skew_seconds > 86_400 / 2:
        raise SettingsError(
            f"clock_skew_seconds = {settings.clock_skew_seconds:g} is more than half a day; use at most 43200"
        )


def _check_listening(settings: Settings) -> None:
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        missing = "tls_key" if settings.tls_key is None else "tls_certificate"
        raise SettingsError(f"{missing} is missing: TLS needs both tls_certificate and tls_key")
    if settings.tls_certificate is not None and settings.tls_key is not None:
        check_certificate(settings.tls_certificate, settings.tls_key)
    _check_proxies(settings.trusted_proxies)
    if settings.unix_socket is not None:
        if len(os.fsencode(settings.unix_socket)) > 100:
            raise SettingsError(f"unix_socket = {settings.unix_socket} is longer than the system allows (100 bytes)")
        if not settings.unix_socket.parent.is_dir():
            raise SettingsError(
                f"unix_socket = {settings.unix_socket}: there is no folder {settings.unix_socket.parent}"
            )


def _check_proxies(proxies: Sequence[str]) -> None:
    for proxy in () if tuple(proxies) == (ANY_PEER,) else proxies:
        try:
            parse_network(proxy)
        except ValueError as error:
            raise SettingsError(
                f"trusted_proxies = {', '.join(proxies)}: each must be an IP address or a network, or * alone: {error}"
            ) from error


def check_certificate(certificate: Path, key: Path) -> None:
    """Raises SettingsError when TLS cannot use them."""
    for name, path in (("tls_certificate", certificate), ("tls_key", key)):
        if not path.is_file():
            raise SettingsError(f"{name} = {path}: there is no such file")
    try:
        # With a password, even an empty one, OpenSSL does not prompt for that of an encrypted key.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(f"tls_certificate = {certificate} and tls_key = {key} cannot be used: {error}") from error


def _check_capacity(settings: Settings) -> None:
    budget = thread_budget()
    if settings.threads is not None and settings.threads > budget:
        raise SettingsError(
            f"threads = {settings.threads}, but this process may use {budget} processors; use at most {budget}, or "
            "leave it unset"
        )
    threads = settings.threads or budget
    if settings.workers > threads:
        raise SettingsError(
            f"workers = {settings.workers} on {threads} processors would oversubscribe them: use at most {threads}"
        )
    smallest = smallest_body_limit(settings.max_inline_bytes)
    if settings.body_limit_bytes < smallest:
        raise SettingsError(
            f"max_body_bytes = {settings.body_limit_bytes} cannot hold two images of max_inline_bytes = "
            f"{settings.max_inline_bytes}: leave it unset, or use at least {smallest}"
        )
    if settings.body_memory < settings.body_limit_bytes:
        raise SettingsError(
            f"body_memory_bytes = {settings.body_memory} is less than one body of {settings.body_limit_bytes} bytes; "
            "raise it, or lower max_body_bytes"
        )
    if settings.min_side_px**2 > settings.max_pixels:
        raise SettingsError(
            f"min_side_px = {settings.min_side_px} leaves no image within max_pixels = {settings.max_pixels}; "
            "lower it, or raise max_pixels"
        )


def _check_s3(settings: Settings) -> None:
    for store in settings.stores():
        where = f"s3 settings for buckets {store.pattern!r}"
        if (store.access_key_id is None) != (store.secret_access_key is None):
            raise SettingsError(f"{where}: access_key_id and secret_access_key go together")
        if store.access_key_id is not None and store.profile is not None:
            raise SettingsError(f"{where}: use either profile or access_key_id, not both")
        if store.directory is not None and not store.directory.is_dir():
            raise SettingsError(f"{where}: directory = {store.directory} is not a folder")
        if store.ca_bundle is not None and not store.ca_bundle.is_file():
            raise SettingsError(f"{where}: ca_bundle = {store.ca_bundle}: there is no such file")
        if store.endpoint_url is not None and "@" in store.endpoint_url:
            raise SettingsError(f"{where}: endpoint_url must hold no user and password, as it is shown in messages")
        if store.endpoint_url is not None and not _is_http_url(store.endpoint_url):
            raise SettingsError(f"{where}: endpoint_url = {store.endpoint_url} must be an address: http://host:port")
        if store.profile is not None:
            open_store(store)


def _is_http_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
