"""The whole pipeline on real faces: properties of the answer, not of the implementation."""

import io
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps
from skimage import data as skimage_data

import likeness
from likeness.comparer import Comparer, ComparerSettings
from likeness.errors import (
    ComparerUnusable,
    ImageTooLarge,
    ImageTooSmall,
    InvalidImageFormat,
    InvalidParameter,
    NoFaceFound,
)
from likeness.faces import QUALITY_FILTERS, Comparison
from likeness.vision.yunet import YuNet

pytestmark = pytest.mark.engine


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def faces_of(comparison: Comparison) -> list[float]:
    return [match.similarity for match in (*comparison.matches, *comparison.unmatched)]


@pytest.fixture(scope="module")
def obama(portraits: dict[str, Path]) -> Image.Image:
    return Image.open(portraits["obama.jpg"]).convert("RGB")


@pytest.fixture(scope="module")
def group(portraits: dict[str, Path]) -> bytes:
    """Two people side by side: biden.jpg on the left, obama2.jpg on the right."""
    left, right = (Image.open(portraits[name]).convert("RGB") for name in ("biden.jpg", "obama2.jpg"))
    height = 600
    left, right = (ImageOps.contain(each, (2000, height)) for each in (left, right))
    joined = Image.new("RGB", (left.width + right.width, height))
    joined.paste(left, (0, 0))
    joined.paste(right, (left.width, 0))
    return encoded(joined, quality=92)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_closed_comparer_raises_with_a_remedy(standard_pack: None, portraits: dict[str, Path], threads: int) -> None:
    photo = portraits["obama.jpg"]
    content = photo.read_bytes()
    comparer = Comparer(threads=threads)
    client = likeness.client(comparer=comparer)
    comparer.close()
    uses: list[Callable[[], object]] = [
        lambda: comparer.compare(photo, photo),
        lambda: comparer.prepare(photo),
        lambda: comparer.analyse(photo),
        comparer.warm_up,
        comparer.reserve_memory,
        lambda: list(likeness.compare_many([(photo, photo)], comparer=comparer)),
        lambda: client.compare_faces(SourceImage={"Bytes": content}, TargetImage={"Bytes": content}),
    ]
    for use in uses:
        with pytest.raises(ComparerUnusable, match="closed; make a new one"):
            use()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_warm_comparer_works_in_a_forked_child(comparer: Comparer, portraits: dict[str, Path]) -> None:
    """As with a preloaded application: gunicorn, Celery, multiprocessing."""
    expected = comparer.compare(portraits["obama.jpg"], portraits["obama2.jpg"])

    def child() -> None:
        os._exit(comparer.compare(portraits["obama.jpg"], portraits["obama2.jpg"]) != expected)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(120)
    hangs = process.is_alive()
    if hangs:
        process.kill()
        process.join()
    assert (hangs, process.exitcode) == (False, 0)


def test_two_portraits_of_one_person_match(comparer: Comparer, portraits: dict[str, Path]) -> None:
    answer = comparer.compare(portraits["obama.jpg"], portraits["obama2.jpg"])
    assert len(answer.matches) == 1
    assert answer.unmatched == ()
    assert 80 <= answer.matches[0].similarity < 100


def test_portraits_of_two_people_do_not_match(comparer: Comparer, portraits: dict[str, Path]) -> None:
    answer = comparer.compare(portraits["obama.jpg"], portraits["biden.jpg"])
    assert answer.matches == ()
    assert len(answer.unmatched) == 1
    assert answer.unmatched[0].similarity < 80


def test_a_photo_matches_itself_with_exactly_100(comparer: Comparer, portraits: dict[str, Path]) -> None:
    photo = portraits["obama.jpg"].read_bytes()
    assert comparer.compare(photo, photo, similarity_threshold=100).matches[0].similarity == 100.0


def test_a_group_is_split_into_who_matches_and_who_does_not(
    comparer: Comparer, portraits: dict[str, Path], group: bytes
) -> None:
    answer = comparer.compare(portraits["obama.jpg"], group)
    assert len(answer.matches) == 1
    assert answer.matches[0].face.bounding_box.left > 0.5
    assert len(answer.unmatched) == 1
    assert answer.unmatched[0].face.bounding_box.left < 0.5


def test_paths_bytes_and_pixels_give_one_answer(comparer: Comparer, portraits: dict[str, Path]) -> None:
    path = portraits["obama.jpg"]
    target = portraits["obama2.jpg"]
    by_path = comparer.compare(path, target)
    assert comparer.compare(str(path), target) == by_path
    assert comparer.compare(path.read_bytes(), memoryview(target.read_bytes())) == by_path
    pixels = np.asarray(Image.open(path).convert("RGB"))
    by_pixels = comparer.compare(pixels, target)
    assert faces_of(by_pixels) == pytest.approx(faces_of(by_path), abs=1.0)  # JPEG decoders differ by a grey level


def test_threshold_zero_matches_everyone_and_partition_is_complete(
    comparer: Comparer, portraits: dict[str, Path], group: bytes
) -> None:
    everyone = comparer.compare(portraits["obama.jpg"], group, similarity_threshold=0)
    assert everyone.unmatched == ()
    similarities = faces_of(everyone)
    assert similarities == sorted(similarities, reverse=True)
    # The threshold is compared with the printed value: exactly at it is a match.
    at = comparer.compare(portraits["obama.jpg"], group, similarity_threshold=similarities[0])
    assert faces_of(at)[0] == similarities[0]
    assert len(at.matches) == 1


def test_the_same_input_gives_the_same_answer_in_every_thread(
    comparer: Comparer, portraits: dict[str, Path], group: bytes
) -> None:
    expected = {
        "group": comparer.compare(portraits["obama.jpg"], group),
        "biden": comparer.compare(portraits["obama.jpg"], portraits["biden.jpg"]),
    }
    targets = {"group": group, "biden": portraits["biden.jpg"].read_bytes()}
    names = ["group", "biden"] * 6
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda name: comparer.compare(portraits["obama.jpg"], targets[name]), names))
    assert answers == [expected[name] for name in names]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone_for_jpeg(
    comparer: Comparer, portraits: dict[str, Path], obama: Image.Image, orientation: int
) -> None:
    upright = comparer.compare(portraits["obama2.jpg"], encoded(obama, quality=95)).matches[0].face.bounding_box
    # What a camera stores that was held so: the inverse of what the tag asks a viewer to do.
    undo = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE"}
    undo |= {6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270"}
    stored = obama.transpose(Image.Transpose[undo[orientation]]) if orientation in undo else obama
    exif = Image.Exif()
    exif[0x0112] = orientation
    answer = comparer.compare(portraits["obama2.jpg"], encoded(stored, quality=95, exif=exif))
    box = answer.matches[0].face.bounding_box
    assert (box.left, box.top, box.width, box.height) == pytest.approx(
        (upright.left, upright.top, upright.width, upright.height), abs=0.01
    )


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_a_face_on_its_side_is_found_in_the_photos_frame(
    comparer: Comparer, portraits: dict[str, Path], obama: Image.Image, quarter_turns: int
) -> None:
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(np.asarray(obama), -quarter_turns)))  # clockwise
    answer = comparer.compare(portraits["obama2.jpg"], encoded(turned, quality=95))
    assert len(answer.matches) == 1
    face = answer.matches[0].face
    upright = comparer.compare(portraits["obama2.jpg"], encoded(obama, quality=95)).matches[0].face
    difference = (face.pose.roll - upright.pose.roll - 90 * quarter_turns + 180) % 360 - 180
    assert abs(difference) < 5
    eye_left, eye_right = face.landmarks[0], face.landmarks[1]
    expected_side = {1: eye_left.y < eye_right.y, 2: eye_left.x > eye_right.x, 3: eye_left.y > eye_right.y}
    assert expected_side[quarter_turns]


def test_orientation_is_estimated_when_asked(standard_pack: None, obama: Image.Image) -> None:
    on_its_side = encoded(obama.transpose(Image.Transpose.ROTATE_270), quality=95)  # turned clockwise by 90°
    with Comparer(settings=ComparerSettings(orientation_correction="estimate")) as estimating:
        answer = estimating.compare(encoded(obama), on_its_side)
    assert answer.source_orientation_correction == "ROTATE_0"
    assert answer.target_orientation_correction == "ROTATE_270"  # three quarters counterclockwise


def test_without_a_face_in_the_source_photo(comparer: Comparer, portraits: dict[str, Path]) -> None:
    blank = encoded(Image.new("RGB", (320, 240), "grey"))
    with pytest.raises(NoFaceFound, match="source"):
        comparer.compare(blank, portraits["obama.jpg"])


def test_without_a_face_in_the_target_photo(
    comparer: Comparer, standard_pack: None, portraits: dict[str, Path]
) -> None:
    blank = encoded(Image.new("RGB", (320, 240), "grey"))
    with pytest.raises(NoFaceFound, match="target"):
        comparer.compare(portraits["obama.jpg"], blank)
    with Comparer(settings=ComparerSettings(target_without_faces="empty")) as lenient:
        answer = lenient.compare(portraits["obama.jpg"], blank)
    assert (answer.matches, answer.unmatched) == ((), ())


def test_when_both_photos_are_bad_the_source_is_named(comparer: Comparer) -> None:
    blank = encoded(Image.new("RGB", (320, 240), "grey"))
    with pytest.raises(NoFaceFound, match="source"):
        comparer.compare(blank, b"GIF89a")


def test_bad_photos_are_named_with_a_reason(comparer: Comparer, portraits: dict[str, Path]) -> None:
    good = portraits["obama.jpg"]
    with pytest.raises(InvalidImageFormat, match=r"target.*GIF"):
        comparer.compare(good, encoded(Image.new("RGB", (320, 240)), "GIF"))
    with pytest.raises(ImageTooSmall, match="79"):
        comparer.compare(good, encoded(Image.new("RGB", (79, 240))))
    with pytest.raises(ImageTooLarge):
        comparer.compare(good, b"\xff\xd8\xff" + bytes(16 * 1024 * 1024))


def test_a_threshold_or_filter_out_of_range_is_refused(comparer: Comparer, portraits: dict[str, Path]) -> None:
    good = portraits["obama.jpg"]
    for threshold in (-1.0, 100.5, float("nan")):
        with pytest.raises(InvalidParameter, match="similarity_threshold"):
            comparer.compare(good, good, similarity_threshold=threshold)
    with pytest.raises(InvalidParameter, match="quality_filter"):
        comparer.compare(good, good, quality_filter="BEST")  # type: ignore[arg-type]


def test_quality_filters_remove_more_the_tighter_they_are(comparer: Comparer, portraits: dict[str, Path]) -> None:
    source = portraits["obama.jpg"]
    photo = Image.open(portraits["obama2.jpg"]).convert("RGB")
    kept: dict[str, int] = dict.fromkeys(QUALITY_FILTERS, 0)
    for side in (90, 120, 160, 240, 400, 800):
        small = ImageOps.contain(photo, (side, side))
        canvas = Image.new("RGB", (800, 800), "grey")
        canvas.paste(small, (100, 0) if side < 700 else (0, 0))
        for name in QUALITY_FILTERS:
            answer = comparer.compare(source, encoded(canvas, quality=95), quality_filter=name)
            kept[name] += len(answer.matches) + len(answer.unmatched)
    assert kept["NONE"] >= kept["LOW"] >= kept["MEDIUM"] >= kept["HIGH"]
    assert kept["NONE"] > kept["HIGH"] > 0


def test_a_face_of_the_answer_has_the_geometry_of_the_service(comparer: Comparer, portraits: dict[str, Path]) -> None:
    path = portraits["obama.jpg"]
    with Image.open(path) as photo:
        width, height = photo.size
    face = comparer.compare(path, path).matches[0].face
    box = face.bounding_box
    eye_left, eye_right = face.landmarks[0], face.landmarks[1]
    assert 1.3 < (box.height * height) / (box.width * width) < 1.45
    assert 0.40 < (eye_right.x - eye_left.x) / box.width < 0.48
    assert 0.35 < ((eye_left.y + eye_right.y) / 2 - box.top) / box.height < 0.42
    assert face.confidence > 99.9
    assert [point.type for point in face.landmarks] == ["eyeLeft", "eyeRight", "mouthLeft", "mouthRight", "nose"]


def test_emotions_and_smile_are_given_except_with_default_attributes(
    comparer: Comparer, standard_pack: None, portraits: dict[str, Path]
) -> None:
    path = portraits["obama.jpg"]
    face = comparer.compare(path, path).matches[0].face
    assert face.emotions is not None
    assert sum(emotion.confidence for emotion in face.emotions) == pytest.approx(100, abs=1e-3)
    confidences = [emotion.confidence for emotion in face.emotions]
    assert confidences == sorted(confidences, reverse=True)
    assert face.smile is not None
    assert face.smile.confidence >= 50
    with Comparer(settings=ComparerSettings(face_attributes="default")) as plain:
        assert set(plain.compare(path, path).to_dict()["FaceMatches"][0]["Face"]) == {
            "BoundingBox",
            "Confidence",
            "Landmarks",
            "Pose",
            "Quality",
        }


def test_at_most_the_hundred_largest_faces_are_compared(comparer: Comparer, portraits: dict[str, Path]) -> None:
    portrait = Image.open(portraits["obama.jpg"]).convert("RGB")
    tile = ImageOps.fit(portrait, (96, 120), centering=(0.5, 0.2))
    wall = Image.new("RGB", (96 * 12, 120 * 10))
    for index in range(120):
        wall.paste(tile, (96 * (index % 12), 120 * (index // 12)))
    answer = comparer.compare(portraits["obama2.jpg"], encoded(wall, quality=95), similarity_threshold=0)
    assert answer.trace.target_faces > 100
    assert len(answer.matches) == 100


def test_several_faces_in_the_source_are_noted_and_the_largest_is_used(
    comparer: Comparer, portraits: dict[str, Path], group: bytes
) -> None:
    answer = comparer.compare(group, portraits["biden.jpg"])
    assert answer.trace.source_faces == 2
    assert any("largest" in note for note in answer.trace.notes)


def test_photos_that_packages_carry(comparer: Comparer) -> None:
    astronaut = skimage_data.astronaut()
    answer = comparer.compare(astronaut, astronaut)
    assert answer.matches[0].similarity == 100.0
    mirrored = np.ascontiguousarray(astronaut[:, ::-1])
    assert comparer.compare(astronaut, mirrored).matches[0].similarity > 95


def test_source_and_target_are_interchangeable(comparer: Comparer, portraits: dict[str, Path]) -> None:
    for one, other in (("obama.jpg", "obama2.jpg"), ("obama.jpg", "biden.jpg")):
        there = faces_of(comparer.compare(portraits[one], portraits[other]))
        back = faces_of(comparer.compare(portraits[other], portraits[one]))
        assert there == pytest.approx(back, abs=0.01)


@pytest.mark.engine
def test_opencv_works_in_the_calling_thread(standard_pack: None) -> None:
    cv2.setNumThreads(2)
    with Comparer():
        assert cv2.getNumThreads() == 1


@pytest.mark.parametrize(("threads", "searches"), [(1, 0), (2, 1)])
def test_memory_is_reserved_where_several_threads_will_need_it(
    standard_pack: None, monkeypatch: pytest.MonkeyPatch, threads: int, searches: int
) -> None:
    seen: list[tuple[int, ...]] = []
    monkeypatch.setattr(YuNet, "detect", lambda _, pixels: seen.append(pixels.shape))
    with Comparer(threads=threads) as comparer:
        comparer.reserve_memory()
    assert len(seen) == searches
    # More than any photo is searched at.
    assert all(height * width > 1152 * 640 for height, width, _ in seen)


@pytest.fixture(scope="module")
def large_and_small(portraits: dict[str, Path]) -> bytes:
    """A large face, and three small ones of which a coarse search sees too little."""
    canvas = Image.new("RGB", (1920, 1080), (96, 96, 96))
    canvas.paste(ImageOps.contain(Image.open(portraits["biden.jpg"]).convert("RGB"), (1080, 1080)), (0, 0))
    for name, place in (("obama.jpg", (1300, 60)), ("obama2.jpg", (1600, 420)), ("biden.jpg", (1250, 780))):
        canvas.paste(ImageOps.contain(Image.open(portraits[name]).convert("RGB"), (190, 250)), place)
    return encoded(canvas, quality=92)


@pytest.fixture(scope="module")
def two_large_and_small(portraits: dict[str, Path]) -> bytes:
    """Two large faces and a small one."""
    canvas = Image.new("RGB", (1920, 1080), (96, 96, 96))
    for name, place, side in (
        ("biden.jpg", (0, 0), 800),
        ("obama.jpg", (800, 0), 800),
        ("obama2.jpg", (1620, 60), 190),
    ):
        canvas.paste(ImageOps.contain(Image.open(portraits[name]).convert("RGB"), (side, side)), place)
    return encoded(canvas, quality=92)


@pytest.mark.parametrize(("photo", "faces"), [("large_and_small", 4), ("two_large_and_small", 3)])
def test_whoever_shares_in_the_work_the_answer_is_the_same(
    standard_pack: None, portraits: dict[str, Path], photo: str, faces: int, request: pytest.FixtureRequest
) -> None:
    target, answers = request.getfixturevalue(photo), []
    for threads in (1, 2, 3):
        with Comparer(threads=threads) as comparer:
            answers.append(comparer.compare(portraits["obama.jpg"], target, similarity_threshold=0))
    first = answers[0]
    # A pattern at the edge of a portrait is found too, and held for a face with a confidence of 50.
    assert len([match for match in first.matches if match.face.confidence > 90]) == faces
    assert len(first.matches) <= faces + 1
    assert all(answer.to_dict() == first.to_dict() for answer in answers[1:])


def test_faces_that_are_found_late_take_their_place_by_size(
    comparer: Comparer, portraits: dict[str, Path], large_and_small: bytes
) -> None:
    answer = comparer.compare(portraits["obama.jpg"], large_and_small, similarity_threshold=100)
    # Of what is doubtful, the box that is shown, made from its points, may be larger or smaller than the detector's.
    boxes = [face.face.bounding_box for face in answer.unmatched if face.face.confidence > 90]
    sizes = [box.width * box.height for box in boxes]
    assert len(sizes) == 4
    assert sizes == sorted(sizes, reverse=True)
    with Comparer(settings=ComparerSettings(max_faces=2)) as two:
        fewer = two.compare(portraits["obama.jpg"], large_and_small, similarity_threshold=100)
    assert [face.face for face in fewer.unmatched] == [face.face for face in answer.unmatched[:2]]
