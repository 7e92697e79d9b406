"""argparse with the streams and exit codes of `compare-faces`, for the other commands."""

import argparse
import sys
from typing import TYPE_CHECKING, NoReturn

from likeness.cli.exit_codes import USAGE_ERROR
from likeness.cli.streams import say

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

#: The help of --device.
DEVICE_HELP = "what networks run on (cpu); a missing one is an error"


class ToolParser(argparse.ArgumentParser):
    """argparse with one line and exit code 252 for usage errors; raises OSError if the help cannot be written.

    argparse ignores OSError when it writes, so that a full disk would look like success.
    """

    def print_help(self, file: "SupportsWrite[str] | None" = None) -> None:
        (file or sys.stdout).write(self.format_help())

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        if message:
            say(message.rstrip("\n"))
        sys.exit(status)

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE_ERROR, f"{self.prog}: {message}; see `{self.prog} --help`\n")
