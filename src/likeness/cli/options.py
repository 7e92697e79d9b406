"""The options of `likeness compare-faces`: one table that the parsers, the help, the prompt and the shell completion
read.

Names, order and meaning are those of the page of `aws rekognition compare-faces`; the texts are our own.
"""

from dataclasses import dataclass
from typing import Literal

from likeness.faces import QUALITY_FILTERS

#: How a value is read and completed: `flag` takes none, `file` and `image` are completed with file names.
Kind = Literal["flag", "text", "number", "choice", "image", "bytes", "document", "file", "format"]

OUTPUT_FORMATS = ("json", "text", "table", "yaml", "yaml-stream", "off")
BINARY_FORMATS = ("base64", "raw-in-base64-out")
SKELETONS = ("input", "output", "yaml-input")
COLORS = ("on", "off", "auto")


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its `name` without dashes, what it takes, the values worth offering, and a sentence about it.

    `scope` says whose it is: `operation` and `global` options are on the page of the service's command, `likeness` ones
    only here.
    """

    name: str
    kind: Kind
    summary: str
    scope: Literal["operation", "global", "likeness"]
    choices: tuple[str, ...] = ()

    @property
    def flag(self) -> str:
        """As it is typed: `--name`."""
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
        "Leave out faces below a quality bar; NONE is the default.",
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
    Option("debug", "flag", "Log what happens to standard error. Photos are left out of the log.", "global"),
    Option("endpoint-url", "text", "Ask a server at this URL instead of the engine in this process.", "global"),
    Option("no-verify-ssl", "flag", "Do not check the server's certificate.", "global"),
    Option("no-paginate", "flag", "Accepted for compatibility: the answer always is one page.", "global"),
    Option("output", "format", "How to print the answer; json is the default.", "global", OUTPUT_FORMATS),
    Option("query", "text", "A JMESPath expression that picks from the answer what is printed.", "global"),
    Option("profile", "text", "The profile of ~/.aws/config and ~/.aws/credentials to use.", "global"),
    Option("region", "text", "The region to sign for, and that of S3 buckets.", "global"),
    Option("version", "flag", "Print the version and leave.", "global"),
    Option("color", "choice", "Colours in tables: on, off, or auto (on a terminal only).", "global", COLORS),
    Option("no-sign-request", "flag", "Send requests unsigned, without looking for credentials.", "global"),
    Option("ca-bundle", "file", "Certificates (PEM) to check the server's certificate with.", "global"),
    Option("cli-read-timeout", "number", "Seconds to wait for the server's answer; 0 waits for ever.", "global"),
    Option("cli-connect-timeout", "number", "Seconds to wait for a connection; 0 waits for ever.", "global"),
    Option(
        "cli-binary-format",
        "choice",
        "How Bytes are written: base64 (default), or raw-in-base64-out for literal bytes. fileb:// is always raw.",
        "global",
        BINARY_FORMATS,
    ),
    Option("no-cli-pager", "flag", "Print straight to the terminal, without a pager.", "global"),
    Option("cli-auto-prompt", "flag", "Build the command line with completion before it runs.", "global"),
    Option("no-cli-auto-prompt", "flag", "Never prompt, whatever the configuration says.", "global"),
    Option(
        "overlay", "file", "Also draw both photos with boxes, landmarks and similarities into this PNG.", "likeness"
    ),
    Option("explain", "flag", "Also say in words, on standard error, what a reviewer should know.", "likeness"),
    Option("pack", "text", "The model pack to compare with: a name or a folder.", "likeness"),
)

BY_FLAG: dict[str, Option] = {option.flag: option for option in OPTIONS}
