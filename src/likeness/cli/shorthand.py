"""The shorthand syntax of structure options: `Bytes=...`, `S3Object={Bucket=photos,Name=a.jpg}`.

    parameter = keyval *( "," keyval )
    keyval    = key "=" value / key "@=" value
    value     = csv / "[" ... "]" / "{" ... "}"
    csv       = item *( "," item )

After `@=`, file:// and fileb:// values are replaced by the file's content (AWS CLI since 2.20, aws/aws-cli#9012).
Grammar, quoting rules and error texts are those of AWS CLI version 2; the tests compare them with its parser.
"""

import re
import string
from collections.abc import Callable
from typing import NoReturn, TypeAlias

Value: TypeAlias = "str | bytes | list[Value] | dict[str, Value]"
Load: TypeAlias = Callable[[str], str | bytes]

_KEY = re.compile(r"[A-Za-z0-9\-_.#/:]*")
_SPACE = re.compile(f"[{re.escape(string.whitespace)}]*")
# As in the original, a quoted item ends at the first quote that is not escaped; if there is none, at the last escaped
# one. The original finds it by backtracking, in a time that doubles with each backslash.
_SINGLE_QUOTED = re.compile(r"'(?>(?:\\\\|\\'|[^'])*)'|'.*'", re.DOTALL)
_DOUBLE_QUOTED = re.compile(r'"(?>(?:\\\\|\\"|[^"])*)"|".*"', re.DOTALL)
# The characters that start an unquoted item, that continue the first item of a value (which a comma ends), and that
# continue later items (which an equals sign ends too, as it follows a new key). As in the original, the classes end at
# U+FFFF.
_START = r"(?:\\,|[!#-&(-+\--<>-Z\\-z|-\uffff])"
_FIRST = re.compile(_START + r"(?:\\,|[\s!#-&(-+\--\\^-|~-\uffff])*")
_LATER = re.compile(_START + r"(?:\\,|[\s!#-&(-+\--<>-\uffff])*")


class ShorthandError(ValueError):
    """The text is not valid shorthand; the message shows where."""


class _Unexpected(ShorthandError):
    """Another character was expected; a list of items ends here if it can."""


def parse_shorthand(text: str, load: Load = str) -> dict[str, Value]:
    """`text` as a dictionary of strings, lists and dictionaries; `load` is given each value after `@=`.

    >>> parse_shorthand("S3Object={Bucket=photos,Name='a b.jpg'}")
    {'S3Object': {'Bucket': 'photos', 'Name': 'a b.jpg'}}

    Raises ShorthandError, and what `load` raises.
    """
    return _Reader(text, load).parameter()


class _Reader:
    """A position in the text, with one method per rule of the grammar."""

    def __init__(self, text: str, load: Load) -> None:
        self.text = text
        self.at = 0
        self._load = load
        self._loads = False

    def parameter(self) -> dict[str, Value]:
        values: dict[str, Value] = {}
        key, values[key] = self.keyval()
        last = self.at
        while self.at < len(self.text):
            self.expect(",", skip_space=True)
            key, value = self.keyval()
            if key in values:
                raise ShorthandError(
                    f'Second instance of key "{key}" encountered for input:\n{self.pointer(last + 1)}\n'
                    'This is often because there is a preceding "," instead of a space.'
                )
            values[key] = value
            last = self.at
        return values

    def keyval(self) -> tuple[str, Value]:
        return self.key(), self.values()

    def key(self) -> str:
        """A key and its equals sign. As in the original, a nested key determines whether values are loaded, for itself
        and for what follows it in a list."""
        key = self.take(_KEY)
        self.take(_SPACE)
        self._loads = self.here == "@"
        if self._loads:
            self.expect("@", skip_space=True)
        self.expect("=", skip_space=True)
        return key

    def values(self) -> Value:
        if not self.here:
            return ""
        if self.here in "[{":
            return self.nested()
        return self.comma_separated()

    def comma_separated(self) -> Value:
        first = self.item(_FIRST)
        self.take(_SPACE)
        if self.here != ",":
            return first
        self.expect(",", skip_space=True)
        items: list[Value] = [first]
        while True:
            try:
                item = self.item(_LATER, name="second")
                self.take(_SPACE)
                if not self.here:
                    items.append(item)
                    break
                self.expect(",", skip_space=True)
                items.append(item)
            except _Unexpected:
                if not self.here:
                    raise
                # `a=1,2,b=3`: "b" began a new key, so the list ended at the comma before it.
                self.at = self.text.rindex(",", 0, self.at + 1)
                break
        return first if len(items) == 1 else items

    def nested(self) -> Value:
        if self.here == "[":
            return self.explicit_list()
        if self.here == "{":
            return self.hash_literal()
        return self.item(_FIRST)

    def explicit_list(self) -> list[Value]:
        self.expect("[", skip_space=True)
        items: list[Value] = []
        while self.here != "]":
            items.append(self.nested())
            self.separator("]")
        self.expect("]")
        return items

    def hash_literal(self) -> dict[str, Value]:
        self.expect("{", skip_space=True)
        members: dict[str, Value] = {}
        while self.here != "}":
            key = self.key()
            members[key] = self.nested()
            self.separator("}")
        self.expect("}")
        return members

    def separator(self, end: str) -> None:
        self.take(_SPACE)
        if self.here != end:
            self.expect(",")
            self.take(_SPACE)

    def item(self, pattern: re.Pattern[str], *, name: str | None = None) -> str | bytes:
        """A quoted or unquoted item, loaded after `@=`; with a `name`, an item that must not be empty."""
        text = self.text_item(pattern, name)
        return self._load(text) if self._loads else text

    def text_item(self, pattern: re.Pattern[str], name: str | None) -> str:
        if self.here == "'":
            return self.quoted(_SINGLE_QUOTED, "singled quoted")
        if self.here == '"':
            return self.quoted(_DOUBLE_QUOTED, "double quoted")
        found = pattern.match(self.text, self.at)
        if found is None:
            if name is not None:
                self.fail(f"<{name}>", "<none>")
            return ""
        self.at = found.end()
        return found[0].replace("\\,", ",").rstrip()

    def quoted(self, pattern: re.Pattern[str], name: str) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            self.fail(f"<{name}>", "<none>")
        self.at = found.end()
        quote = found[0][0]
        return found[0][1:-1].replace(f"\\{quote}", quote).replace("\\\\", "\\")

    @property
    def here(self) -> str:
        """The character at the position, or nothing at the end."""
        return self.text[self.at : self.at + 1]

    def take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        assert found is not None, "the pattern matches the empty string"
        self.at = found.end()
        return found[0]

    def expect(self, character: str, *, skip_space: bool = False) -> None:
        if skip_space:
            self.take(_SPACE)
        if self.here != character:
            self.fail(character, self.here or "EOF")
        self.at += 1
        if skip_space:
            self.take(_SPACE)

    def fail(self, expected: str, received: str) -> NoReturn:
        raise _Unexpected(f"Expected: '{expected}', received: '{received}' for input:\n{self.pointer(self.at)}")

    def pointer(self, index: int) -> str:
        """The text with a caret under the character at `index`."""
        line_start = self.text.rfind("\n", 0, index) + 1
        line_end = self.text.find("\n", index)
        consumed, rest = (self.text, "") if line_end < 0 else (self.text[:line_end], self.text[line_end:])
        return f"{consumed}\n{' ' * (index - line_start)}^{rest}"
