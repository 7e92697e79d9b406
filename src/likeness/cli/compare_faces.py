"""`likeness compare-faces`: runs the engine in this process, or calls any CompareFaces endpoint.

    words ──arguments──▶ options ──parameters──▶ parameters ──connection──▶ answer ──output──▶ standard output

The steps are in the order of AWS CLI version 2, so that the same one of two errors is reported.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from likeness.cli import arguments, connection, failures, hints, output, parameters, preload

if TYPE_CHECKING:
    from likeness.cli.review import Review


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command with the words after `compare-faces`; returns the exit code."""
    words = list(sys.argv[2:] if argv is None else argv)
    try:
        from likeness.cli import prompt

        return prompt.run(words, _run)
    except arguments.VersionAsked:
        from likeness.cli.version import version_line

        print(version_line())
        return 0
    except failures.expected_errors() as error:
        return failures.report(error)


def _run(words: Sequence[str]) -> int:
    given, rest = arguments.parse_globals(words)
    _set_logging(given)
    query = output.compile_query(given.query)
    connection.check_endpoint_url(given.endpoint_url)
    for timeout in (given.cli_read_timeout, given.cli_connect_timeout):
        connection.timeout_seconds(timeout)
    given = arguments.parse_operation(rest, given)
    if given.help:
        from likeness.cli import page

        page.show()
        return 0
    request = parameters.call_parameters(given)
    if given.generate_cli_skeleton in ("input", "yaml-input"):
        _print_skeleton(given.generate_cli_skeleton)
        return 0
    engine = None if given.generate_cli_skeleton else preload.begin(given)
    session = connection.open_session(given)
    url = connection.endpoint(session, given)
    review = None
    if given.generate_cli_skeleton == "output":
        answer = _sample(session, given, url, request)
    elif url is not None:
        answer = _ask_server(session, given, url, request)
    else:
        answer, review = _ask_engine(session, given, request, engine)
    format_name = given.output or session.get_config_variable("output")
    try:
        output.Output(format_name, query, given.color, connection.pager(session, given)).show(answer)
    finally:
        # Also if the answer cannot be printed.
        if review is not None:
            review.finish()
    return 0


def _set_logging(given: argparse.Namespace) -> None:
    from likeness.cli import debug_log

    if given.debug:
        debug_log.start()
    else:
        debug_log.stop()


def _print_skeleton(kind: str) -> None:
    from likeness.cli import skeleton

    output.write(skeleton.print_json_skeleton if kind == "input" else skeleton.print_yaml_skeleton)


def _sample(session: Any, given: argparse.Namespace, url: str | None, request: dict[str, Any]) -> dict[str, Any]:
    """The answer of --generate-cli-skeleton output: parameters are checked, nothing is sent, no model is loaded."""
    from likeness.cli import skeleton

    if url is not None:
        connection.network_client(session, given, url)
    _decode(session, given, request)
    skeleton.check(request)
    return skeleton.sample_answer()


def _ask_server(session: Any, given: argparse.Namespace, url: str, request: dict[str, Any]) -> dict[str, Any]:
    for option in ("overlay", "explain", "pack", "uncalibrated", "device"):
        if getattr(given, option):
            raise failures.ArgumentsError(
                f"--{option} needs the engine in this process: leave out the endpoint URL ({url}), or --{option}"
            )
    client = connection.network_client(session, given, url)
    return _call(client, request, _decode(session, given, request))


def _ask_engine(
    session: Any, given: argparse.Namespace, request: dict[str, Any], engine: preload.PreloadedComparer | None
) -> tuple[dict[str, Any], "Review"]:
    from likeness.cli.review import Review

    threshold = request.get("SimilarityThreshold")
    review = Review(overlay=given.overlay, explain=given.explain, threshold=threshold, files=given.files)
    client = connection.engine_client(session, given, review, engine)
    return _call(client, request, _decode(session, given, request)), review


def _call(client: Any, request: dict[str, Any], texts: dict[str, str]) -> dict[str, Any]:
    """The answer. If the service finds no photo, its error gets a hint at what the `texts` of Bytes are."""
    try:
        answer: dict[str, Any] = client.compare_faces(**request)
    except client.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in ("InvalidImageFormatException", "ValidationException"):
            error.hint = hints.bytes_hint(texts, request)
        raise
    return answer


def _decode(session: Any, given: argparse.Namespace, request: dict[str, Any]) -> dict[str, str]:
    """Decodes Bytes from base64, unless --cli-binary-format or the profile says that they are raw.

    Returns the decoded texts by member.
    """
    if (given.cli_binary_format or session.get_config_variable("cli_binary_format")) == "raw-in-base64-out":
        return {}
    return parameters.decode_base64(request)
