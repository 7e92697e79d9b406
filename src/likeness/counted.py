"""Numbers of things in messages."""


def counted(number: int, noun: str) -> str:
    """The number with its noun, which takes an s unless it is one: 1 photo, 2,000 photos."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
