"""Values of options → the parameters of CompareFaces (specification sections 6.2 to 6.4).

file:// and fileb://   read, for every option that takes a value of the operation
--source-image         shorthand or JSON
--source-image-bytes   sets Bytes of the same image, in addition to --source-image
--cli-input-json/yaml  fills in the parameters that no option gave; nothing is merged below the top
Bytes                  base64 as text, unless --cli-binary-format says raw; fileb:// always is raw
"""

import argparse
import base64
import binascii
import json
import locale
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

from likeness.cli.failures import ArgumentsError, Base64Error, OptionError
from likeness.cli.hints import base64_hint, is_file, photo_hint
from likeness.system.bounded_file import meant_file, read_at_most

IMAGES = {"source_image": "SourceImage", "target_image": "TargetImage"}

#: The most that is read from one file. The service's limit is 5 MiB a photo; larger files get its own, clearer error.
MAX_FILE_BYTES = 64 * 1024 * 1024


def call_parameters(given: argparse.Namespace) -> dict[str, Any]:
    """The parameters for botocore; Bytes may still be base64 text (see `decode_base64`). Raises ArgumentsError.

    The files that are read for them are listed in `given.files`.
    """
    given.files = []
    values = _loaded(given)
    parameters: dict[str, Any] = {}
    for name, member in IMAGES.items():
        if values[name] is not None:
            parameters[member] = _structure(f"--{name.replace('_', '-')}", values[name], given.files)
    for name, member in (("similarity_threshold", "SimilarityThreshold"), ("quality_filter", "QualityFilter")):
        if values[name] is not None:
            parameters[member] = values[name]
    for name, member in IMAGES.items():
        content = values[f"{name}_bytes"]
        if content is not None:
            parameters[member] = {**(parameters.get(member) or {}), "Bytes": content}
    return {**_document(values["cli_input_json"], values["cli_input_yaml"]), **parameters}


def decode_base64(parameters: dict[str, Any]) -> dict[str, str]:
    """Decodes Bytes that are text in place, ignoring characters outside the alphabet as the original does.

    Returns the texts by member, for hints if the service finds no photo in the bytes. Raises Base64Error.
    """
    texts = {}
    for member in IMAGES.values():
        image = parameters.get(member)
        if isinstance(image, dict) and isinstance(image.get("Bytes"), str):
            text = texts[member] = image["Bytes"]
            try:
                image["Bytes"] = base64.b64decode(text)
            except ValueError as error:  # not binascii.Error: characters outside ASCII
                message = f'Invalid base64: "{text}"' if isinstance(error, binascii.Error) else str(error)
                raise Base64Error(message, base64_hint(member, text)) from error
    return texts


def _loaded(given: argparse.Namespace) -> dict[str, Any]:
    """The values of the operation's options, with files read."""
    names = [*IMAGES, "similarity_threshold", "quality_filter", *(f"{name}_bytes" for name in IMAGES)]
    names += ["cli_input_json", "cli_input_yaml"]
    return {name: _content(f"--{name.replace('_', '-')}", getattr(given, name), given.files) for name in names}


def _content(option: str, value: Any, files: list[Path]) -> Any:
    """`value`, or the content of the file that it names, whose path is appended to `files`."""
    if not isinstance(value, str) or not value.startswith(("file://", "fileb://")):
        return value
    prefix, _, name = value.partition("://")
    path = os.path.expandvars(os.path.expanduser(name))
    files.append(Path(path))
    try:
        content = read_at_most(path, MAX_FILE_BYTES)
    except OSError as error:
        meant = meant_file(path)
        raise OptionError(
            option,
            f"Unable to load paramfile {value}: {error}",
            hint=meant and f"there is a file {meant}: write {prefix}://{meant}",
        ) from error
    if len(content) > MAX_FILE_BYTES:
        raise OptionError(option, f"Unable to load paramfile {value}: larger than {MAX_FILE_BYTES >> 20} MiB")
    if prefix == "fileb":
        return content
    try:
        return content.decode(_file_encoding()).removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise OptionError(
            option,
            f"Unable to load paramfile ({path}), text contents could not be decoded.  If this is a binary file, please "
            "use the fileb:// prefix instead of the file:// prefix.",
        ) from error


def _file_encoding() -> str:
    """The encoding of text files: AWS_CLI_FILE_ENCODING, else the locale's, else UTF-8."""
    chosen = os.environ.get("AWS_CLI_FILE_ENCODING")
    if chosen:
        return chosen
    return "UTF-8" if locale.setlocale(locale.LC_CTYPE) in ("C", "POSIX") else locale.getpreferredencoding()


def _structure(option: str, value: Any, files: list[Path]) -> Any:
    """The value of --source-image or --target-image; `files` as for `_content`."""
    if isinstance(value, bytes):
        raise TypeError(f"{option} takes shorthand or JSON, not the bytes of a file; use {option}-bytes for a photo")
    if not value.strip().startswith(("{", "[")):
        # Imported here: compiling its expressions takes as long as decoding a photo, and files do not need them.
        from likeness.cli.shorthand import ShorthandError, parse_shorthand

        try:
            return parse_shorthand(value, lambda text: _content(option, text, files))
        except ShorthandError as error:
            raise OptionError(option, str(error), hint=photo_hint(value)) from error
    if value.lstrip()[0] != "{":
        raise OptionError(option, f"Invalid JSON:\n{value}")
    try:
        return json.loads(value, object_pairs_hook=OrderedDict)
    except ValueError as error:
        raise OptionError(option, f"Invalid JSON: {error}\nJSON received: {value}") from error


def _document(json_text: str | bytes | None, yaml_text: str | bytes | None) -> dict[str, Any]:
    """The parameters of --cli-input-json or --cli-input-yaml."""
    if json_text is None and yaml_text is None:
        return {}
    if json_text is not None and yaml_text is not None:
        raise ArgumentsError("Only one --cli-input- parameter may be specified.")
    option = "cli-input-json" if yaml_text is None else "cli-input-yaml"
    document = _json(json_text) if json_text is not None else _yaml(yaml_text or "")
    if not isinstance(document, dict):
        raise OptionError(f"--{option}", f"Invalid type: expecting map, received {type(document)}")
    return document


def _json(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise OptionError("cli-input-json", "Invalid JSON received.", hint=_document_hint(text)) from error


def _yaml(text: str | bytes) -> Any:
    import yaml

    from likeness.cli.formats import yaml12

    try:
        return yaml12.load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise OptionError("cli-input-yaml", "Invalid YAML received.", hint=_document_hint(text)) from error


def _document_hint(text: str | bytes) -> str | None:
    """What to write for the name of a file in place of what is in it."""
    return f"to read that file, write file://{text}" if isinstance(text, str) and is_file(text) else None
