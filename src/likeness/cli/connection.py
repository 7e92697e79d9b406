"""The transport: a botocore client that calls a server, or the engine in this process.

With --endpoint-url, AWS_ENDPOINT_URL_REKOGNITION, AWS_ENDPOINT_URL or `endpoint_url` of the profile, requests go to
that address as AWS CLI version 2 sends them: signed, three attempts, TLS verified. Otherwise photos stay in the process
and no credentials are needed; S3 objects are read with the user's credentials. Region, profile, output and pager are
resolved as by that program.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from likeness.cli.failures import ArgumentsError
from likeness.cli.pager import DEFAULT_PAGER

if TYPE_CHECKING:
    from likeness.sources.store import StoreSettings

DEFAULT_TIMEOUT_SECONDS = 60

#: The server's variables that determine where S3 objects are.
_SERVER_VARIABLES = ("LIKENESS_S3_", "LIKENESS_CONFIG")
UNLIMITED_SECONDS = 3600.0


def open_session(given: argparse.Namespace) -> Any:
    """The botocore session for the given options; the profile is read on first use."""
    import botocore.session
    from botocore import configprovider as sources

    from likeness.cli.version import version

    session = botocore.session.Session()
    session.user_agent_name = "likeness"
    session.user_agent_version = version()

    def chain(name: str, environment: list[str], default: str | None, *, config: str | None = None) -> None:
        providers: list[Any] = [sources.InstanceVarProvider(instance_var=name, session=session)]
        providers += [sources.EnvironmentProvider(name=each, env=os.environ) for each in environment]
        providers.append(sources.ScopedConfigProvider(config_var_name=config or name, session=session))
        if default is not None:
            providers.append(sources.ConstantProvider(value=default))
        session.get_component("config_store").set_config_provider(name, sources.ChainProvider(providers=providers))

    chain("region", ["AWS_REGION", "AWS_DEFAULT_REGION"], None)
    chain("output", ["AWS_DEFAULT_OUTPUT"], "json")
    chain("cli_binary_format", [], "base64")
    chain("cli_auto_prompt", ["AWS_CLI_AUTO_PROMPT"], "off")
    chain("retry_mode", ["AWS_RETRY_MODE"], "standard")
    if given.profile:
        session.set_config_variable("profile", given.profile)
    if given.region:
        session.set_config_variable("region", given.region)
    return session


def pager(session: Any, given: argparse.Namespace) -> str | None:
    """The pager for answers on a terminal, from AWS_PAGER, cli_pager or PAGER; None or empty for none."""
    if given.no_cli_pager:
        return None
    for value in (os.environ.get("AWS_PAGER"), session.get_scoped_config().get("cli_pager"), os.environ.get("PAGER")):
        if value is not None:
            return str(value)
    return DEFAULT_PAGER


def endpoint(session: Any, given: argparse.Namespace) -> str | None:
    """The URL of the server, or None for the engine in this process."""
    if given.endpoint_url:
        return str(given.endpoint_url)
    if os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return None
    for variable in ("AWS_ENDPOINT_URL_REKOGNITION", "AWS_ENDPOINT_URL"):
        if os.environ.get(variable):
            return os.environ[variable]
    profile = session.get_scoped_config()
    services = session.full_config.get("services", {}).get(profile.get("services"), {})
    found = services.get("rekognition", {}).get("endpoint_url") or profile.get("endpoint_url")
    return None if found is None else str(found)


def check_endpoint_url(value: str | None) -> None:
    """Raises ArgumentsError for an --endpoint-url without a scheme."""
    if value is not None and not urlparse(value).scheme:
        raise ArgumentsError(
            f'Bad value for --endpoint-url "{value}": scheme is missing.  Must be of the form http://<hostname>/ or https://<hostname>/'
        )


def timeout_seconds(value: str | None) -> int | None:
    """Seconds, or None for no limit (a value of 0). Raises ValueError if `value` is not an integer."""
    return (DEFAULT_TIMEOUT_SECONDS if value is None else int(value)) or None


def network_client(session: Any, given: argparse.Namespace, url: str) -> Any:
    """A client of the server at `url`. Raises botocore's errors: no region, unknown profile, invalid address."""
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.utils import IMDSRegionProvider

    config = Config(
        read_timeout=timeout_seconds(given.cli_read_timeout),
        connect_timeout=timeout_seconds(given.cli_connect_timeout),
        signature_version=UNSIGNED if given.no_sign_request else None,
        user_agent_extra="command/compare-faces",
    )
    region = session.get_config_variable("region") or IMDSRegionProvider(session).provide()
    verify = False if given.no_verify_ssl else given.ca_bundle
    return session.create_client("rekognition", region_name=region, endpoint_url=url, verify=verify, config=config)


def engine_client(session: Any, given: argparse.Namespace, observer: Any, comparer: Any = None) -> Any:
    """A client of the engine in this process, or of `comparer`; `observer` gets every comparison with its photos."""
    from likeness import inprocess
    from likeness.cli.installation import progress_for_people
    from likeness.packs.progress import show_automatic_with

    show_automatic_with(progress_for_people)
    return inprocess.client(
        chosen_pack(given.pack),
        comparer=comparer,
        settings=chosen_settings(given),
        session=session,
        stores=_stores(session, given),
        observer=observer,
    )


def chosen_pack(pack: str | None) -> str:
    """The pack that is named, by LIKENESS_PACK if not by the option, or the standard pack."""
    return pack or os.environ.get("LIKENESS_PACK") or "standard"


def chosen_settings(given: argparse.Namespace) -> Any:
    """The settings of the comparer that the options choose."""
    from likeness.settings import ComparerSettings

    return ComparerSettings(uncalibrated=bool(given.uncalibrated), device=given.device or "cpu")


def server_stores() -> "tuple[StoreSettings, ...] | None":
    """The server's stores if LIKENESS_S3_* or LIKENESS_CONFIG is set, otherwise None. Raises SettingsError."""
    of_server = {name: value for name, value in os.environ.items() if name.startswith(_SERVER_VARIABLES)}
    if not of_server:
        return None
    from likeness.server.configuration import configure

    return configure({}, of_server).settings.stores()


def _stores(session: Any, given: argparse.Namespace) -> Any:
    """The stores of S3Object references: the server's, otherwise S3 with the user's profile, region and
    AWS_ENDPOINT_URL_S3. Raises SettingsError.
    """
    from likeness.sources.store import StoreSettings
    from likeness.sources.stores import Stores

    of_server = server_stores()
    if of_server is not None:
        return Stores(of_server)
    settings = StoreSettings(
        profile=session.profile,
        region=session.get_config_variable("region"),
        anonymous=given.no_sign_request,
        ca_bundle=Path(given.ca_bundle) if given.ca_bundle else None,
        read_timeout_seconds=timeout_seconds(given.cli_read_timeout) or UNLIMITED_SECONDS,
        connect_timeout_seconds=timeout_seconds(given.cli_connect_timeout) or UNLIMITED_SECONDS,
    )
    return Stores((settings,))
