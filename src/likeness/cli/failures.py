"""Errors of the command: their exit codes and messages (specification sections 6.7 and 6.8).

Codes and texts are those of AWS CLI version 2. An error of the engine in this process is followed by a second line with
its reason.
"""

import sys
from typing import Any
from urllib.parse import unquote

from likeness.aws.errors import REASON_HEADER
from likeness.cli.exit_codes import CONFIGURATION_ERROR, INTERRUPTED, OTHER_ERROR, SERVICE_ERROR, USAGE_ERROR
from likeness.cli.streams import say

USAGE = """likeness compare-faces [options]
To see help text, you can run:

  likeness help
  likeness compare-faces help
"""

PHOTOS = "--source-image-bytes fileb://a.jpg --target-image-bytes fileb://b.jpg"


class ArgumentsError(Exception):
    """The arguments cannot be parsed, or are not valid together."""


class OptionError(ArgumentsError):
    """The value of one option is not valid; `hint` is a separate line on what the user may mean."""

    def __init__(self, option: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(f"Error parsing parameter '{option}': {message}")
        self.hint = hint


class UnknownOptionsError(ArgumentsError):
    """Unknown options."""

    def __init__(self, rest: list[str]) -> None:
        super().__init__(f"usage: {USAGE}\nUnknown options: {', '.join(rest)}\n")
        if not all(word.startswith("-") for word in rest):
            self.hint = f"give photos as {PHOTOS}, in quotes where a name has blanks"


class PagerError(Exception):
    """The pager cannot be started."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(
            f"Unable to redirect output to pager. Received the following error when opening pager:\n{cause}\n\n"
            "Set AWS_PAGER to another program, or give --no-cli-pager."
        )


class OutputError(Exception):
    """The answer cannot be written."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(f"Unable to write the answer to standard output: {cause.strerror or cause}")


class Base64Error(Exception):
    """A Bytes value is not base64; `hint` tells what it may be instead."""

    def __init__(self, message: str, hint: str | None) -> None:
        super().__init__(message)
        self.hint = hint


#: Besides the command's own errors, these are the base classes of what botocore, jmespath, yaml, json and the operating
#: system raise for bad input. Anything else is a bug and keeps its traceback.
def expected_errors() -> tuple[type[BaseException], ...]:
    """The exceptions that become a message on standard error and an exit code."""
    from botocore.exceptions import BotoCoreError, ClientError

    from likeness.errors import LikenessError

    own = (ArgumentsError, PagerError, OutputError, Base64Error, LikenessError, KeyboardInterrupt)
    return (*own, BotoCoreError, ClientError, OSError, ValueError, LookupError, TypeError, RecursionError)


def report(error: BaseException) -> int:
    """Writes the message of `error` to standard error and returns the exit code."""
    if isinstance(error, KeyboardInterrupt):
        sys.stdout.write("\n")
        return INTERRUPTED
    code, text = classify(error)
    say(f"\n{text}")
    reason = _hint(error) or _reason(error)
    if reason is not None:
        say(f"likeness: {reason}")
    return code


def classify(error: BaseException) -> tuple[int, str]:
    """The exit code and the message of an error."""
    from botocore import exceptions as botocore_errors

    from likeness.errors import LikenessError

    if isinstance(error, (ArgumentsError, botocore_errors.ParamValidationError)):
        return USAGE_ERROR, str(error)
    if isinstance(error, botocore_errors.NoRegionError):
        return CONFIGURATION_ERROR, f'{error} You can also configure your region by running "aws configure".'
    if isinstance(error, botocore_errors.NoCredentialsError):
        return CONFIGURATION_ERROR, f'{error}. You can configure credentials by running "aws configure".'
    if isinstance(error, (PagerError, LikenessError)):
        return CONFIGURATION_ERROR, str(error)
    if isinstance(error, botocore_errors.ClientError):
        return SERVICE_ERROR, str(error)
    if isinstance(error, RecursionError):
        return OTHER_ERROR, f"A value is nested too deeply: {error}"
    return OTHER_ERROR, str(error)


def _hint(error: BaseException) -> str | None:
    """A hint at what the user may mean, or None."""
    if str(error).startswith(
        "Parameter validation failed:\nMissing required parameter in input: "
    ) and "Unknown parameter" not in str(error):
        return f"give both photos, {PHOTOS}; see also: likeness compare-faces help"
    return getattr(error, "hint", None)


def _reason(error: BaseException) -> str | None:
    """The reason that the engine in this process gives in addition to the service's text; None from a server."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    headers: dict[str, str] = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    reason = headers.get(REASON_HEADER)
    return None if reason is None else unquote(reason)
