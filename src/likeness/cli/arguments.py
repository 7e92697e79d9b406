"""Parses the command line as AWS CLI version 2 does.

There are two passes, as in the original: first the options that every command has, then those of the operation.
Unambiguous prefixes of option names are accepted in each.
"""

import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NoReturn

from likeness.cli.failures import USAGE, ArgumentsError, UnknownOptionsError
from likeness.cli.options import OPTIONS, Option

#: How many valid choices an error message lists on a line.
CHOICES_PER_LINE = 2


class VersionAsked(Exception):
    """`--version` was given."""


class _Version(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0)

    def __call__(self, *_: object) -> NoReturn:
        raise VersionAsked


class _Parser(argparse.ArgumentParser):
    """argparse that raises instead of exiting, with the original's message for a wrong choice."""

    def __init__(self) -> None:
        super().__init__(prog="likeness", usage=USAGE.replace("%", "%%"), add_help=False)

    def error(self, message: str) -> NoReturn:
        raise ArgumentsError(f"{self.format_usage()}\n{self.prog}: error: {message}\n")

    def _check_value(self, action: argparse.Action, value: object) -> None:
        choices = None if action.choices is None else list(action.choices)
        if choices is None or value in choices:
            return
        message = ["Invalid choice, valid choices are:\n"]
        lines = [choices[start : start + CHOICES_PER_LINE] for start in range(0, len(choices), CHOICES_PER_LINE)]
        message.extend(" | ".join(f"{choice:<40}" for choice in line) for line in lines)
        similar = get_close_matches(str(value), choices, cutoff=0.8)
        if similar:
            message.append(f"\n\nInvalid choice: {value!r}, maybe you meant:\n")
            message.extend(f"  * {word}" for word in similar)
        raise argparse.ArgumentError(action, "\n".join(message))


def parse_globals(words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options that every command of the original has, by name with underscores, and the remaining words.

    Raises ArgumentsError, and VersionAsked if --version comes before any error.
    """
    return _global_parser().parse_known_args(list(words))


def parse_operation(words: Sequence[str], given: argparse.Namespace) -> argparse.Namespace:
    """`given` with the options of CompareFaces and of Likeness added; `help` is True if help is requested.

    Raises ArgumentsError."""
    given.help = any(word in ("--help", "-h") for word in words) or list(words) == ["help"]
    if given.help:
        return given
    given, rest = _operation_parser().parse_known_args(list(words), given)
    given.help = given.stray == "help"
    unknown = rest if given.stray is None else [*rest, given.stray]
    if unknown and not given.help:
        raise UnknownOptionsError(unknown)
    return given


def _global_parser() -> _Parser:
    parser = _Parser()
    for option in OPTIONS:
        if option.name == "version":
            parser.add_argument(option.flag, action=_Version)
        elif option.scope == "global":
            _add(parser, option)
    parser.set_defaults(color="auto")
    return parser


def _operation_parser() -> _Parser:
    parser = _Parser()
    for option in OPTIONS:
        if option.scope == "operation" and option.name == "similarity-threshold":
            parser.add_argument(option.flag, type=float)
        elif option.scope == "operation" and option.name == "generate-cli-skeleton":
            parser.add_argument(option.flag, nargs="?", const="input", choices=["input", "output", "yaml-input"])
        elif option.scope == "operation":
            # The service, not the command, validates --quality-filter.
            parser.add_argument(option.flag)
        elif option.scope == "likeness":
            _add(parser, option)
    parser.add_argument("stray", nargs="?")
    return parser


def _add(parser: _Parser, option: Option) -> None:
    if not option.takes_value:
        parser.add_argument(option.flag, action="store_true")
    elif option.choices:
        parser.add_argument(option.flag, choices=list(option.choices))
    else:
        parser.add_argument(option.flag)
