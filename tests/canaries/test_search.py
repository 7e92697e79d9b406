"""The search finds each kind of canary in each form, so that finding none means that there is none."""

import base64
import json

import numpy as np
import pytest

from .search import Search

PHOTO = np.random.default_rng(1).bytes(4000)
VECTOR = np.random.default_rng(2).normal(0, 0.09, 128).astype(np.float32)
LANDMARKS = [0.31234567, 0.45678912, 0.52345678, 0.44567891, 0.42345678, 0.67891234]
PIXELS = [99.9499, 109.6294, 167.5063, 106.9616, 135.5063, 162.9396]
SIMILARITY = 98.7654321
SECRET = "Kq7wZ1xT9vB3nM5cL8jH2gF4dS6aP0oIuYtReWqA"


@pytest.fixture(scope="module")
def search() -> Search:
    made = Search()
    made.add_bytes("photo", PHOTO)
    made.add_vector("vector", VECTOR)
    made.add_sequence("landmarks", LANDMARKS)
    made.add_sequence("landmarks in pixels", PIXELS)
    made.add_number("similarity", SIMILARITY)
    made.add_number("cosine", 0.7654321)
    made.add_text("secret", SECRET)
    return made


def octets(data: bytes) -> list[bytes]:
    """Pieces of data as they may be written in a log, a file, or shared memory."""
    return [
        data,
        base64.b64encode(data),
        base64.b64encode(b"x" + data),
        base64.urlsafe_b64encode(b"xy" + data),
        data.hex().encode(),
        data.hex().upper().encode(),
        repr(data).encode(),
        json.dumps({"text": repr(data)}).encode(),
        repr(list(data)).encode(),
    ]


@pytest.mark.parametrize("number", range(9))
@pytest.mark.parametrize(("start", "end"), [(0, 4000), (1000, 1100), (2001, 2027)])
def test_octets_of_a_photo(start: int, end: int, number: int, search: Search) -> None:
    assert search.found(b'{"a": "' + octets(PHOTO[start:end])[number] + b'"}') == {"photo"}


@pytest.mark.parametrize("kind", ["<f4", "<f8", "<f2", ">f4", ">f8", ">f2"])
@pytest.mark.parametrize("number", range(9))
def test_octets_of_a_vector(kind: str, number: int, search: Search) -> None:
    assert search.found(b"..." + octets(VECTOR[20:60].astype(kind).tobytes())[number]) == {"vector"}


@pytest.mark.parametrize("decimals", [2, 3, 4, 5, 6, 8])
def test_written_vectors(decimals: int, search: Search) -> None:
    with np.printoptions(precision=decimals):
        for text in (repr(VECTOR), str(VECTOR[5:40]), str([round(float(v), decimals) for v in VECTOR])):
            assert search.found(text.encode()) == {"vector"}
    cut = np.trunc(VECTOR * 10**decimals) / 10**decimals
    assert search.found(" ".join(f"{v:.{decimals}f}" for v in cut).encode()) == {"vector"}
    assert search.found(" ".join(f"{v:.{decimals}e}" for v in VECTOR[7:11]).encode()) == {"vector"}


@pytest.mark.parametrize("whole", [np.rint, np.trunc, np.floor])
@pytest.mark.parametrize("scale", [127.0, 128.0, None])
def test_vectors_as_integers_of_eight_bits(scale: float | None, whole: np.ufunc, search: Search) -> None:
    unit = VECTOR / np.linalg.norm(VECTOR)
    integers = whole(unit * (scale or 127 / np.abs(unit).max())).clip(-128, 127).astype(np.int8)
    for form in octets(integers[20:60].tobytes()):
        assert search.found(b"..." + form) == {"vector"}
    if whole is np.floor:
        return  # is for octets, where the sign is not cut off
    some = integers[31:43]
    for text in (repr(integers), str(some), str(some.tolist()), json.dumps({"v": some.tolist()}, indent=1)):
        assert search.found(text.encode()) == {"vector"}
    for text in (",".join(map(str, some)), str(some.astype(float)), str(some.astype(float).tolist())):
        assert search.found(text.encode()) == {"vector"}


@pytest.mark.parametrize("decimals", [2, 3, 4, 5, 8])
def test_written_landmarks(decimals: int, search: Search) -> None:
    points = [{"X": round(x, decimals), "Y": round(y, decimals)} for x, y in zip(*[iter(LANDMARKS)] * 2, strict=True)]
    assert search.found(json.dumps({"Landmarks": points}).encode()) == {"landmarks"}


@pytest.mark.parametrize("decimals", [0, 1, 2, 3])
def test_written_landmarks_in_pixels(decimals: int, search: Search) -> None:
    points = [(round(x, decimals), round(y, decimals)) for x, y in zip(*[iter(PIXELS)] * 2, strict=True)]
    whole = [[int(each) for each in point] for point in points] if not decimals else points
    for few in (whole, whole[1:3], whole[:2]):
        assert search.found(f"INFO face at {few}".encode()) == {"landmarks in pixels"}
        named = [f"Point(x={x}, y={y})" for x, y in few]
        assert search.found("\n".join(named).encode()) == {"landmarks in pixels"}
    cut = [int(each) for each in PIXELS]
    assert search.found(f"{np.array(cut)}".encode()) == {"landmarks in pixels"}


def test_one_landmark(search: Search) -> None:
    assert search.found(b"Landmark(type='eyeLeft', x=0.312346, y=0.456789)") == {"landmarks"}


@pytest.mark.parametrize("text", ["98.77", "98.765", "98.7654", "98.7654321", "9.87654e+01", "98.76543"])
def test_written_similarities(text: str, search: Search) -> None:
    assert search.found(f"similarity={text}%".encode()) == {"similarity"}


@pytest.mark.parametrize(
    "text",
    [
        *("similarity 98.8", '{"similarity":99}', "Similarity=98", "similarity: 98.7%", "'similarity of faces': 98.77"),
        *("99 % similar", "match with 98.8% similarity", "score=99", "SIMILARITY_PERCENT 99"),
    ],
)
def test_similarities_that_are_rounded_coarsely(text: str, search: Search) -> None:
    assert search.found(text.encode()) == {"similarity"}


@pytest.mark.parametrize("text", ["cosine 0.77", "cosine=0.8", "score: 0.765"])
def test_cosines_that_are_rounded_coarsely(text: str, search: Search) -> None:
    assert search.found(text.encode()) == {"cosine"}


@pytest.mark.parametrize("text", ["0.76543", "0.765432", "7.6543e-01"])
def test_written_cosines(text: str, search: Search) -> None:
    assert search.found(f"[{text}]".encode()) == {"cosine"}


def test_octets_of_a_similarity(search: Search) -> None:
    assert search.found(b"abc" + np.float64(SIMILARITY).tobytes()) == {"similarity"}


@pytest.mark.parametrize("text", [SECRET, SECRET[5:29], SECRET.encode("utf-16-le").decode("latin-1")])
def test_texts(text: str, search: Search) -> None:
    for form in octets(text.encode("latin-1")):
        assert search.found(form) == {"secret"}


def test_nothing_where_nothing_is(search: Search) -> None:
    line = {"time": "2026-01-01T10:00:00.123Z", "seconds": {"receive": 0.0001, "compare": 0.0432, "total": 0.0512}}
    line |= {
        "request_id": "3b241101-e2bb-4255-8caf-4136c566a962",
        "other": "3577387e-4014-98.7e-401",
        "sha256": "0123456789abcdef" * 4,
    }
    assert search.found(json.dumps(line).encode() * 200 + bytes(1000)) == set()


def test_no_coincidence_of_numbers_near_zero() -> None:
    """Networks have components that hardly differ from zero, and logs have many short times."""
    vector, dice = VECTOR * 70, np.random.default_rng(4)
    vector[40:46] = dice.uniform(0.01, 0.05, 6)
    made = Search()
    made.add_vector("vector", vector)
    times = [f"mean = {each:.2f}ms, total = {each:.2f}ms" for each in dice.exponential(0.05, 20_000)]
    assert made.found("\n".join(times).encode()) == set()


def test_no_coincidence_in_many_numbers(search: Search) -> None:
    dice = np.random.default_rng(3)
    vectors = dice.normal(0, 0.09, (10, 128))
    points = dice.uniform(100, 320, 3000)
    for decimals in (0, 1, 2, 3):
        for numbers in (vectors, points, np.zeros(1000), np.arange(1000) / 100):
            text = " ".join(f"{each:.{decimals}f}" for each in numbers.ravel())
            assert search.found(text.encode()) == set()
    for spread in (3, 11, 40, 200):  # numbers as small as integers of eight bits are
        numbers = np.rint(dice.normal(0, spread, 20_000)).astype(int)
        assert search.found(str(numbers.tolist()).encode()) == set()
        assert search.found(numbers.astype(np.int8).tobytes()) == set()
    assert search.found(dice.bytes(100_000)) == set()
    assert (
        search.found(b'{"SimilarityThreshold": 80, "similarity_threshold": 50.0} similarity above 90: 12 of 95')
        == set()
    )
