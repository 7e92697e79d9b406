"""The options of `likeness compare-faces`, for the parsers, the help, the prompt and the shell completion.

Names, order and meaning are those of `aws rekognition compare-faces`; the texts are our own.
"""

from dataclasses import dataclass
from typing import Literal

from likeness.faces import QUALITY_FILTERS
from likeness.runtime.devices import DEVICES

#: How a value is read and completed: `flag` takes none, `file` and `image` are completed with file names.
Kind = Literal["flag", "text", "number", "choice", "image", "bytes", "document", "file", "format"]

OUTPUT_FORMATS = ("json", "text", "table", "yaml", "yaml-stream", "off")
BINARY_FORMATS = ("base64", "raw-in-base64-out")
SKELETONS = ("input", "output", "yaml-input")
COLORS = ("on", "off", "auto")


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its `name` without dashes, the kind of its value, suggested values, and a description.

    `scope` is `operation` or `global` for an option of the service's command, `likeness` for one of our own.
    """

    name: str
    kind: Kind
    summary: str
    scope: Literal["operation", "global", "likeness"]
    choices: tuple[str, ...] = ()

    @property
    def flag(self) -> str:
        """The option as typed: `--name`."""
        return f"--{self.name}"

    @property
    def takes_value(self) -> bool:
        return self.kind != "flag"


_IMAGE_SYNTAX = "Bytes=<base64>, or S3Object={Bucket=b,Name=key,Version=v}, or the same as JSON, or file://image.json"

OPTIONS: tuple[Option, ...] = (
    Option("source-image", "image", f"The photo of the person sought. {_IMAGE_SYNTAX}.", "operation"),
    Option("target-image", "image", f"The photo to look in. {_IMAGE_SYNTAX}.", "operation"),
    Option(
        "similarity-threshold",
        "number",
        "Faces at or above this similarity (0 to 100, default 80) are matches.",
        "operation",
    ),
    Option(
        "quality-filter",
        "choice",
        "Exclude faces below a quality level; NONE is the default.",
        "operation",
        QUALITY_FILTERS,
    ),
    Option("source-image-bytes", "bytes", "The source photo from a file: fileb://photo.jpg", "operation"),
    Option("target-image-bytes", "bytes", "The target photo from a file: fileb://photo.jpg", "operation"),
    Option(
        "cli-input-json",
        "document",
        "All arguments as JSON, or file://arguments.json; other options override it.",
        "operation",
    ),
    Option("cli-input-yaml", "document", "The same as YAML; not together with --cli-input-json.", "operation"),
    Option(
        "generate-cli-skeleton",
        "choice",
        "Print a document to fill in (input, yaml-input), or check the arguments and print a sample answer (output).",
        "operation",
        SKELETONS,
    ),
    Option("debug", "flag", "Log to standard error, without photos.", "global"),
    Option("endpoint-url", "text", "Use the server at this URL instead of the engine in this process.", "global"),
    Option("no-verify-ssl", "flag", "Do not verify the server's certificate.", "global"),
    Option("no-paginate", "flag", "Accepted for compatibility: the answer is always one page.", "global"),
    Option("output", "format", "The format of the answer; json is the default.", "global", OUTPUT_FORMATS),
    Option("query", "text", "A JMESPath expression that selects the part of the answer to print.", "global"),
    Option("profile", "text", "The profile of ~/.aws/config and ~/.aws/credentials to use.", "global"),
    Option("region", "text", "The region to sign for, and that of S3 buckets.", "global"),
    Option("version", "flag", "Print the version and exit.", "global"),
    Option("color", "choice", "Colours in tables: on, off, or auto (on a terminal only).", "global", COLORS),
    Option("no-sign-request", "flag", "Send requests unsigned, without looking for credentials.", "global"),
    Option("ca-bundle", "file", "Certificates (PEM) with which to verify the server's certificate.", "global"),
    Option("cli-read-timeout", "number", "Seconds to wait for the server's answer; 0: no limit.", "global"),
    Option("cli-connect-timeout", "number", "Seconds to wait for a connection; 0: no limit.", "global"),
    Option(
        "cli-binary-format",
        "choice",
        "How Bytes are written: base64 (default), or raw-in-base64-out for literal bytes. fileb:// is always raw.",
        "global",
        BINARY_FORMATS,
    ),
    Option("no-cli-pager", "flag", "Print directly to the terminal, without a pager.", "global"),
    Option("cli-auto-prompt", "flag", "Complete the command line interactively before it runs.", "global"),
    Option("no-cli-auto-prompt", "flag", "Do not prompt, regardless of the configuration.", "global"),
    Option(
        "overlay", "file", "Also draw both photos with boxes, landmarks and similarities into this PNG.", "likeness"
    ),
    Option("explain", "flag", "Also explain the answer for a reviewer, on standard error.", "likeness"),
    Option("pack", "text", "The model pack to compare with: a name or a folder (LIKENESS_PACK).", "likeness"),
    Option("uncalibrated", "flag", "Let a pack without a calibration answer; each answer is marked.", "likeness"),
    Option(
        "device", "choice", "What networks run on; cpu is the default. A missing one is an error.", "likeness", DEVICES
    ),
)

BY_FLAG: dict[str, Option] = {option.flag: option for option in OPTIONS}
