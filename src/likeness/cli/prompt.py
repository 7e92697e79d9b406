"""`--cli-auto-prompt`: build the command line with completion, then run it.

on          --cli-auto-prompt, AWS_CLI_AUTO_PROMPT=on, or cli_auto_prompt = on in the profile
on-partial  prompt only after arguments that are not valid (exit code 252)
off         the default; --no-cli-auto-prompt; always with help and --version
"""

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from likeness.cli.exit_codes import USAGE_ERROR
from likeness.cli.failures import ArgumentsError, classify, expected_errors
from likeness.cli.options import BY_FLAG
from likeness.cli.streams import say

if TYPE_CHECKING:
    from prompt_toolkit.document import Document
    from prompt_toolkit.formatted_text import StyleAndTextTuples

COMMAND = "likeness compare-faces"
ON, OFF = "--cli-auto-prompt", "--no-cli-auto-prompt"


def run(words: Sequence[str], command: Callable[[Sequence[str]], int]) -> int:
    """Runs `command` with the words, edited by the user in the prompt if it is on; returns the exit code."""
    mode = resolve_mode(words)
    if mode == "on":
        return command(ask(words))
    if mode != "on-partial":
        return command(words)
    try:
        return command(words)
    except expected_errors() as error:
        if classify(error)[0] != USAGE_ERROR:
            raise
        return command(ask(words))


def resolve_mode(words: Sequence[str]) -> str:
    """`on`, `on-partial` or `off`. Raises ArgumentsError for both options at once."""
    if ON in words and OFF in words:
        raise ArgumentsError("Both --cli-auto-prompt and --no-cli-auto-prompt cannot be specified at the same time.")
    if OFF in words or "help" in words or "--version" in words:
        return "off"
    if ON in words:
        return "on"
    return (os.environ.get("AWS_CLI_AUTO_PROMPT") or _configured(words)).lower()


def _configured(words: Sequence[str]) -> str:
    """The profile's `cli_auto_prompt`; botocore is only loaded when the configuration mentions it."""
    path = os.path.expanduser(os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config")
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            if "cli_auto_prompt" not in file.read():
                return "off"
    except OSError:
        return "off"
    import botocore.session
    from botocore.exceptions import BotoCoreError

    profile = words[words.index("--profile") + 1] if "--profile" in words[:-1] else None
    try:
        return str(botocore.session.Session(profile=profile).get_scoped_config().get("cli_auto_prompt", "off"))
    except BotoCoreError:
        return "off"


def ask(words: Sequence[str]) -> list[str]:
    """Lets the user complete the command line that begins with `words`; returns its words.

    Raises KeyboardInterrupt if the user cancels, ArgumentsError without a terminal.
    """
    from prompt_toolkit.application.current import get_app_session
    from prompt_toolkit.output import create_output

    begun = [word for word in words if word != ON]
    session = get_app_session()
    if session._input is None and not sys.stdin.isatty():
        raise ArgumentsError("--cli-auto-prompt needs a terminal to ask on")
    # Standard output may be a file for the answer; the prompt goes to the terminal.
    output = session._output or create_output(always_prefer_tty=True)
    text = "".join(f"{shlex.quote(word)} " for word in begun)
    try:
        line = _prompt(text, output)
    except EOFError as error:
        raise KeyboardInterrupt from error
    say(f"> {COMMAND} {line}")
    return shlex.split(line)


def _prompt(text: str, output: Any) -> str:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.application import get_app
    from prompt_toolkit.validation import Validator

    session: Any = PromptSession(
        message=[("bold", f"> {COMMAND} ")],
        completer=_completer(),
        complete_while_typing=True,
        validator=Validator.from_callable(
            _is_closed, error_message="a quotation mark is still open", move_cursor_to_end=True
        ),
        validate_while_typing=False,
        bottom_toolbar=lambda: toolbar(get_app().current_buffer.document),
        reserve_space_for_menu=10,
        output=output,
    )
    line: str = session.prompt(default=text, pre_run=lambda: get_app().current_buffer.start_completion())
    return line


def toolbar(document: "Document") -> "StyleAndTextTuples":
    """The line below the prompt: the keys, and the current option's description or the missing options."""
    before, current = split_line(document.text_before_cursor)
    words = [*before, current]
    option = next((BY_FLAG[word] for word in reversed(words[-2:]) if word in BY_FLAG), None)
    document_given = any(word.startswith("--cli-input-") for word in words)
    missing = [
        f"--{image}-image-bytes"
        for image in ("source", "target")
        if not document_given and not any(word.startswith(f"--{image}-image") for word in words)
    ]
    if option is not None:
        line = f" {option.flag}: {option.summary} "
    elif missing:
        line = f" still missing: {' and '.join(missing)} "
    else:
        line = " Enter compares the photos "
    keys = (("bold", " Tab "), ("", "next "), ("bold", " Enter "), ("", "run "), ("bold", " Ctrl-C "), ("", "leave "))
    return [*keys, ("", f" {line}")]


def split_line(text: str) -> tuple[list[str], str]:
    """The complete words of a line that is being typed, and the current word (empty after a space)."""
    for closing in ("", "'", '"'):
        try:
            words = shlex.split(text + closing)
        except ValueError:
            continue
        if closing or (text and not text[-1].isspace()):
            return words[:-1], words[-1] if words else ""
        return words, ""
    return [], ""


def _is_closed(text: str) -> bool:
    try:
        shlex.split(text)
    except ValueError:
        return False
    return True


def _completer() -> Any:
    from prompt_toolkit.completion import Completer, Completion

    from likeness.cli.candidates import candidates

    class CommandCompleter(Completer):
        """Offers `candidates` for the word before the cursor."""

        def get_completions(self, document: Any, complete_event: Any) -> Any:  # noqa: ARG002
            before, current = split_line(document.text_before_cursor)
            typed = len(document.get_word_before_cursor(WORD=True))
            for candidate in candidates(before, current):
                end = " " if candidate.complete else ""
                text = candidate.text if candidate.text.endswith(("=", "://", "/")) else shlex.quote(candidate.text)
                yield Completion(text + end, -typed, display=candidate.text, display_meta=candidate.about)

    return CommandCompleter()
