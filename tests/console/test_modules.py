"""The console's modules without a page, in Node: figures, texts, layout, retries, CSV."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likeness.comparer import Comparer
from likeness.vision.calibration import PROMISE

from .conftest import crowd

Node = Callable[..., Any]
READ = 'const given = JSON.parse((await import("node:fs")).readFileSync(0));\n'
LEVELS = [0.0, 50.0, *(level for level, _ in PROMISE)]
RATES = [0.0, -2.0, *(rate for _, rate in PROMISE)]
FULL = {"levels": LEVELS, "rates": RATES, "marked": LEVELS[2:], "measured": -6.0}


def rarities(node: Node, promise: Any, similarities: list[float]) -> list[str]:
    return list(
        node(
            READ + 'import { rarity } from "console/promise.js";'
            "console.log(JSON.stringify(given.similarities.map((each) => rarity(given.promise, each))));",
            {"promise": promise, "similarities": similarities},
        )
    )


def test_a_similarity_is_shown_as_its_false_match_rate(node: Node) -> None:
    similarities = [0.0, 50.0, 80.0, 85.0, 90.0, 95.0, 99.0, 99.5, 100.0]
    assert rarities(node, FULL, similarities) == [
        "1 in 1",
        "1 in 100",
        "1 in 1,000",
        "1 in 3,200",
        "1 in 10,000",
        "1 in 100,000",
        "1 in 1,000,000",
        "rarer than 1 in 1,000,000",
        "rarer than 1 in 1,000,000",
    ]
    assert rarities(node, None, [80.0]) == [""]


def test_the_sentence_names_the_people_whom_the_rate_is_about(node: Node) -> None:
    sentence = node(
        READ + 'import { raritySentence } from "console/promise.js";'
        "console.log(JSON.stringify(raritySentence(given, 80)));",
        FULL | {"whom": "different people"},
    )
    assert sentence == "Of pairs of photos of different people, 1 in 1,000 is this similar or more."


def test_no_rate_is_claimed_beyond_the_data(node: Node) -> None:
    assert rarities(node, FULL | {"measured": -4.5}, [90.0, 95.0, 99.9]) == [
        "1 in 10,000",
        "rarer than 1 in 32,000",
        "rarer than 1 in 32,000",
    ]


def test_the_words_agree_with_the_calibration(node: Node, comparer: Comparer) -> None:
    calibration = comparer.calibration
    rates = np.log10(calibration.false_match_rate(LEVELS)).tolist()
    similarities = [10.0, 42.0, 66.6, 81.3, 88.8]
    words = rarities(node, FULL | {"rates": rates}, similarities)
    for similarity, word in zip(similarities, words, strict=True):
        count = float(word.removeprefix("1 in ").replace(",", ""))
        assert count == pytest.approx(1 / float(calibration.false_match_rate(similarity)), rel=0.06, abs=0.5)


def test_the_scale_is_logarithmic_and_can_be_read_backwards(node: Node) -> None:
    places, back = node(
        READ + 'import { position, similarityAt } from "console/promise.js";'
        "const places = given.at.map((each) => position(given.promise, each));"
        "console.log(JSON.stringify([places, places.map((each) => similarityAt(given.promise, each))]));",
        {"promise": FULL, "at": [0, 50, 80, 90, 95, 99, 99.5, 100]},
    )
    assert places == pytest.approx([0, 2 / 7, 3 / 7, 4 / 7, 5 / 7, 6 / 7, 6.5 / 7, 1])
    assert back == [0, 50, 80, 90, 95, 99, 99.5, 100]


def test_another_threshold_reads_the_answer_as_the_server_would(
    node: Node, comparer: Comparer, portraits: dict[str, Path], tmp_path: Path
) -> None:
    picture = tmp_path / "crowd.png"
    crowd(portraits, rows=3, columns=4).save(picture)
    whole = comparer.compare(portraits["obama.jpg"], picture, similarity_threshold=0).to_dict()
    for threshold in (0, 80, 99.9, 100):
        ours = node(
            READ + 'import { answerAt } from "console/answer.js";'
            "console.log(JSON.stringify(answerAt(given.answer, given.threshold)));",
            {"answer": whole, "threshold": threshold},
        )
        theirs = comparer.compare(portraits["obama.jpg"], picture, similarity_threshold=threshold).to_dict()
        assert ours["FaceMatches"] == theirs["FaceMatches"]
        assert ours["SourceImageFace"] == theirs["SourceImageFace"]
        in_order = {str(each) for each in ours["UnmatchedFaces"]}
        assert in_order == {str(each) for each in theirs["UnmatchedFaces"]}


def test_labels_are_within_the_photo_and_do_not_overlap(node: Node) -> None:
    generator = np.random.default_rng(5)
    area = {"width": 600, "height": 400}
    boxes = [
        {"x": float(x), "y": float(y), "width": 40.0, "height": 55.0}
        for x, y in generator.uniform((-20, -20), (590, 390), (60, 2))
    ]
    sizes = [{"width": 80, "height": 18}] * len(boxes)
    placed = node(
        READ + 'import { placeLabels } from "console/labels.js";'
        "console.log(JSON.stringify(placeLabels(given.boxes, given.sizes, given.area)));",
        {"boxes": boxes, "sizes": sizes, "area": area},
    )
    free = [each for each in placed if each["isFree"]]
    assert placed[0]["isFree"]
    assert 8 <= len(free) < len(boxes)
    for at, one in enumerate(free):
        assert 0 <= one["x"] <= 520
        assert 0 <= one["y"] <= 382
        assert all(abs(one["x"] - other["x"]) >= 80 or abs(one["y"] - other["y"]) >= 18 for other in free[:at])


def test_axes_rotate_by_the_services_signs(node: Node) -> None:
    frontal, left, up, clockwise = node(
        READ + 'import { axes } from "console/pose.js"; console.log(JSON.stringify(given.map(axes)));',
        [
            {"Roll": 0, "Yaw": 0, "Pitch": 0},
            {"Roll": 0, "Yaw": -30, "Pitch": 0},
            {"Roll": 0, "Yaw": 0, "Pitch": 30},
            {"Roll": 90, "Yaw": 0, "Pitch": 0},
        ],
    )
    assert [*frontal[0], *frontal[1], *frontal[2]] == pytest.approx([1, 0, 0, -1, 0, 0])
    assert left[2] == pytest.approx([-0.5, 0])  # the nose points to the picture's left
    assert up[2] == pytest.approx([0, -0.5])  # and up where the pitch is positive
    assert clockwise[0] == pytest.approx([0, 1])  # the eye line turns clockwise


def test_retries_back_off_and_end(node: Node) -> None:
    script = """
import { eachAtMost, retrying, pauseMs } from "console/retries.js";
const answers = [{ status: 400, code: "ThrottlingException" }, { status: 503 }, { status: 200 }];
const pauses = [];
const last = await retrying(() => answers.shift(), { onPause: (text) => pauses.push(text), wait: async () => {} });
const never = await retrying(() => ({ status: 503 }), { wait: async () => {}, attempts: 3 });
const refused = { status: 400, code: "InvalidParameterException" };
const other = await retrying(() => refused, { wait: async () => { throw 1; } });
let running = 0, most = 0, done = 0;
await eachAtMost(3, Array.from({ length: 10 }), async () => {
  most = Math.max(most, ++running);
  await new Promise((resolve) => setTimeout(resolve, 1));
  running -= 1; done += 1;
});
const stop = new AbortController();
let taken = 0;
await eachAtMost(2, Array.from({ length: 10 }), async () => { if (++taken === 4) stop.abort(); }, stop.signal);
const longest = [1, 2, 3, 20].map((refusals) => pauseMs(refusals, 1));
console.log(JSON.stringify({ last, never, other, pauses, most, done, taken, longest }));
"""
    found = node(script)
    assert found["last"] == {"status": 200}
    assert found["never"] == {"status": 503}
    assert found["other"]["status"] == 400
    seconds = [
        float(re.fullmatch(r"The server is busy: trying again in ([\d.]+) s\.", each)[1]) for each in found["pauses"]
    ]  # type: ignore[index]
    assert 0.2 <= seconds[0] <= 0.5 <= seconds[1] <= 1
    assert (found["most"], found["done"]) == (3, 10)
    assert found["taken"] <= 5
    assert found["longest"] == [500, 1000, 2000, 20_000]


def test_no_cell_of_the_export_is_a_formula(node: Node) -> None:
    text = node(
        READ + 'import { toCsv } from "console/csv.js"; console.log(JSON.stringify(toCsv(given)));',
        [["photo", "similarity"], ['=1+1,"x".jpg', 99.5], ["-a", None], ["a\nb", ""]],
    )
    assert text == 'photo,similarity\r\n"\'=1+1,""x"".jpg",99.5\r\n\'-a,\r\n"a\nb",\r\n'


def test_a_dropped_folder_is_walked_to_its_end(node: Node) -> None:
    """Folders tell their entries in parts (Chromium: a hundred), and have folders in them."""
    found = node(
        """
import { droppedFiles } from "console/photo.js";
const file = (path) => ({ isFile: true, fullPath: path, file: (tell) => tell({ name: path.slice(-5) }) });
const folder = (...parts) => ({
  isDirectory: true,
  createReader: () => ({ readEntries: (tell) => tell(parts.shift() ?? []) }),
});
const dropped = folder([file("/a/1.jpg"), folder([file("/a/b/2.jpg")])], [file("/a/3.jpg")]);
const items = [
  { getAsFile: () => null, webkitGetAsEntry: () => dropped },
  { getAsFile: () => ({ name: "4.jpg" }), webkitGetAsEntry: () => null },
  { getAsFile: () => null, webkitGetAsEntry: () => null },
];
console.log(JSON.stringify((await droppedFiles({ items })).map(({ path, name }) => path ?? name)));
"""
    )
    assert found == ["a/1.jpg", "a/b/2.jpg", "a/3.jpg", "4.jpg"]


def test_failures_are_explained(node: Node) -> None:
    large = {"width": 8000, "height": 8000, "isKnown": True, "bytes": 3 * 2**20, "name": "a.jpg"}
    failures = [
        {"status": 0, "code": "Unreachable"},
        {"status": 0, "code": "Unreadable"},
        {"status": 503},
        {"status": 400, "code": "ThrottlingException"},
        {"status": 400, "code": "ImageTooLargeException", "requestId": "some-id"},
        {"status": 500, "code": "InternalServerError"},
        {"status": 400, "code": "ExpiredTokenException"},
        {"status": 400, "code": "InvalidParameterException", "faceless": "target"},
        {"status": 400, "code": "NewException", "text": "Something new"},
        {"status": 400, "code": "InvalidImageFormatException",
         "text": "Request has invalid image format: source photo: it ends early"},
    ]  # fmt: skip
    found = node(
        READ
        + """
import { inWords } from "console/problems.js";
import { state } from "console/state.js";
state.about = given.about;
console.log(JSON.stringify(given.failures.map((each) => inWords(each, given.photos))));
""",
        {
            "about": {"min_side_px": 80, "max_pixels": 50e6, "max_image_bytes": 5 * 2**20},
            "photos": {"source": large, "target": large},
            "failures": failures,
        },
    )
    assert [each["title"] for each in found] == [
        "The server does not answer",
        "A photo cannot be read any more",
        "The server is busy",
        "The server is busy",
        "A photo has too many pixels",
        "Something broke in the server",
        "The session has expired",
        "No face was found in the target photo",
        "The server refused the request",
        "The source photo cannot be read",
    ]
    assert "50 megapixels" in found[4]["text"]
    assert "request id some-id" in found[4]["reason"]
    assert found[8]["text"] == "Something new"
    assert found[9]["reason"] == "The server says: source photo: it ends early"
