"""Answer → `--query` → `--output` → standard output or the pager."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO

from likeness.cli.failures import ArgumentsError, OutputError
from likeness.cli.pager import is_terminal, output_stream
from likeness.cli.streams import forget_output

TITLE = "CompareFaces"


@dataclass(frozen=True, slots=True)
class Output:
    """How to print: a format of `options.OUTPUT_FORMATS`, a compiled JMESPath expression or None, colours, a pager."""

    format: str = "json"
    query: Any = None
    color: str = "auto"
    pager: str | None = None

    def show(self, answer: dict[str, Any]) -> None:
        """Prints `answer`, the service's JSON, without its ResponseMetadata.

        Raises PagerError, OutputError, ValueError, TypeError."""
        answer = {key: value for key, value in answer.items() if key != "ResponseMetadata"}
        write(lambda stream: self._write(answer, stream), self.pager)

    def _write(self, answer: Any, stream: TextIO) -> None:
        if self.format == "off":
            return
        value = answer if self.query is None else self.query.search(answer)
        if self.format == "text":
            from likeness.cli.formats import text

            text.write(value, stream)
        elif self.format == "table":
            self._write_table(value, stream)
        elif value == {}:
            return
        elif self.format == "json":
            json.dump(value, stream, indent=4, ensure_ascii=False)
            stream.write("\n")
        elif self.format == "yaml":
            _write_yaml(value, stream)
        elif self.format == "yaml-stream":
            _write_yaml([value], stream)
        else:
            raise ValueError(f"Unknown output type: {self.format}")

    def _write_table(self, value: Any, stream: TextIO) -> None:
        from likeness.cli.formats import table
        from likeness.cli.formats.style import Style

        colored = self.color == "on" or (self.color == "auto" and is_terminal(sys.stdout))
        table.write(value, stream, title=TITLE, style=Style(colored, resets=colored and stream is sys.stdout))


def write(content: Callable[[TextIO], object], pager: str | None = None) -> None:
    """Calls `content` with standard output or the pager. Raises PagerError, and OutputError if writing fails.

    A closed pipe is not an error.
    """
    with output_stream(pager) as stream:
        try:
            content(stream)
            stream.flush()
        except BrokenPipeError:
            forget_output()  # so that the flush at exit does not fail
        except OSError as error:
            forget_output()
            raise OutputError(error) from error


def compile_query(expression: str | None) -> Any:
    """The compiled JMESPath expression. Raises ArgumentsError for one that is not valid."""
    if expression is None:
        return None
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        return jmespath.compile(expression)
    except JMESPathError as error:
        raise ArgumentsError(f"Bad value for --query {expression}: {error}") from error


def _write_yaml(value: Any, stream: TextIO) -> None:
    if value is None or isinstance(value, (int, float, str)):
        # PyYAML would append "..." to a scalar.
        json.dump(value, stream, ensure_ascii=False)
        stream.write("\n")
        return
    from likeness.cli.formats import yaml12

    yaml12.dump(value, stream)
