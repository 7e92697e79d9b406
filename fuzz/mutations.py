"""Random changes of bytes whose format is not known: bits, pieces, repetitions, and words of the format."""

import random
from collections.abc import Callable, Sequence

Mutate = Callable[[bytes, random.Random], bytes]

#: Numbers at the edges of types, as little- and big-endian bytes.
_EDGES = [
    value.to_bytes(size, order)
    for size in (1, 2, 4, 8)
    for value in (0, 1, (1 << (8 * size - 1)) - 1, 1 << (8 * size - 1), (1 << (8 * size)) - 1)
    for order in ("little", "big")
]
#: What often has a meaning in text formats.
_WORDS = (
    *(b"{", b"[", b"(", b"<", b'"', b"'", b"\\", b"\n", b"\r\n", b"=", b",", b":", b"\x00", b"\xff", b"\xef\xbb\xbf"),
    *(b"-1", b"0", b"1e999", b"NaN", b"null", b"true", b"9" * 40, b"\xed\xa0\x80", "\u2028".encode(), b"../"),
)
_LENGTHS = (1, 1, 2, 4, 16, 64)


def mutated(data: bytes, chance: random.Random, tokens: Sequence[bytes] = ()) -> bytes:
    """`data` with one to five changes."""
    made = bytearray(data or b"\0")
    for _ in range(chance.randint(1, 5)):
        place = chance.randrange(len(made) + 1)
        length = chance.choice(_LENGTHS)
        match chance.randrange(9):
            case 0 if place < len(made):
                made[place] ^= 1 << chance.randrange(8)
            case 1:
                made[place : place + length] = chance.randbytes(length)
            case 2:
                del made[place : place + length]
            case 3:
                other = chance.randrange(len(made) + 1)
                made[place:place] = made[other : other + length]
            case 4:
                edge = chance.choice(_EDGES)
                made[place : place + len(edge)] = edge
            case 5:
                made[place:place] = chance.choice(_WORDS)
            case 6 if tokens:
                token = chance.choice(tokens)
                made[place : place + chance.choice((0, len(token)))] = token
            case 7 if chance.random() < 0.3:
                piece = bytes(made[place : place + length]) or chance.choice(_WORDS)
                made[place:place] = piece * chance.choice((10, 100, 1000))
            case _:
                if chance.random() < 0.1:
                    del made[place:]
    return bytes(made)
