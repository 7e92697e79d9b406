"""Arguments of the commands that the service does not have: argparse with the exit code that the others use."""

import argparse
from typing import NoReturn

from likeness.cli.main import USAGE_ERROR


class ToolParser(argparse.ArgumentParser):
    """argparse with one line and the exit code 252 for wrong usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE_ERROR, f"{self.prog}: {message}; see `{self.prog} --help`\n")
