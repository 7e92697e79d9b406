"""`--explain`: the facts that a person needs to review an answer.

Size, pose and quality of both faces, the false match rates of the similarity and the threshold among those different
people that the pack was calibrated on, and advice on better photos.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from likeness.claims import Claim
from likeness.faces import Comparison, Face, FaceMatch

#: Similarity (0 to 100) → the false match rate that may be claimed for it.
Claims = Callable[[float], Claim]

#: The number of faces described individually; further ones are only counted.
DESCRIBED = 10

# Photos within these values need no advice. Sizes and angles: specification section 8 (50 px in 1920x1080, yaw
# under 45, pitch under 30 down and 45 up) with a margin; sharpness and brightness: the HIGH bar of `vision.quality`.
GOOD_WIDTH_PX = 60
GOOD_YAW_DEG, GOOD_PITCH_DEG = 30, 25
GOOD_SHARPNESS, GOOD_BRIGHTNESS, GLARING_BRIGHTNESS = 40, 30, 92
#: The threshold that the service's documentation recommends for decisions that affect a person's rights.
STRICT_THRESHOLD = 99.0


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo's name and its upright size in pixels."""

    name: str
    width_px: int
    height_px: int


def explain(
    comparison: Comparison,
    source: Photo,
    target: Photo,
    *,
    threshold: float,
    claims: Claims | None,
) -> str:
    """The explanation as lines of text. Without `claims` (a pack without calibration) rates are left out."""
    found = [*comparison.matches, *comparison.unmatched]
    lines = [f"{source.name} ({source.width_px} x {source.height_px} px): the face that was compared"]
    lines += _described(comparison.source, source)
    lines += [f"{target.name} ({target.width_px} x {target.height_px} px): {_counted(comparison)}"]
    for number, each in enumerate(found[:DESCRIBED], 1):
        verdict = "match" if number <= len(comparison.matches) else "no match"
        lines += [f"  face {number}, {_place(each.face)}: {verdict}, {_similarity(each.similarity, claims)}"]
        lines += _described(each.face, target)
    if len(found) > DESCRIBED:
        lines.append(f"  and {len(found) - DESCRIBED} more faces")
    lines += _about_threshold(threshold, claims, found)
    advice = list(_advice(comparison, source, target, found))
    lines += (
        ["What would make the photos better:", *(f"  - {each}" for each in advice)]
        if advice
        else ["The photos are good enough for a comparison: faces large, sharp, lit and turned to the camera."]
    )
    return "\n".join(lines)


def _counted(comparison: Comparison) -> str:
    matches, others = len(comparison.matches), len(comparison.unmatched)
    if not matches and not others:
        return "no face to compare with"
    faces = "1 face" if matches + others == 1 else f"{matches + others} faces"
    return f"{faces}, {matches or 'none'} at or above the threshold"


def _described(face: Face, photo: Photo) -> list[str]:
    width_px, height_px = face_size_px(face, photo)
    return [
        f"    size     {width_px:.0f} x {height_px:.0f} px",
        f"    pose     {_pose_in_words(face)}",
        f"    quality  sharpness {face.quality.sharpness:.0f}, brightness {face.quality.brightness:.0f} (of 100)",
    ]


def face_size_px(face: Face, photo: Photo) -> tuple[float, float]:
    """Width and height of the face's box in pixels of the photo."""
    return face.bounding_box.width * photo.width_px, face.bounding_box.height * photo.height_px


def _pose_in_words(face: Face) -> str:
    """The pose in words, with the directions of the picture; angles under 5 degrees are not noticeable."""
    pose = face.pose
    turns = (
        (pose.yaw, "turned {:.0f}° to the left", "turned {:.0f}° to the right"),
        (pose.pitch, "looking {:.0f}° down", "looking {:.0f}° up"),
        (pose.roll, "tilted {:.0f}° anticlockwise", "tilted {:.0f}° clockwise"),
    )
    words = [
        (negative if angle < 0 else positive).format(abs(angle))
        for angle, negative, positive in turns
        if abs(angle) >= 5
    ]
    return ", ".join(words) or "facing the camera"


def _place(face: Face) -> str:
    """The place in the photo, in thirds."""
    x = face.bounding_box.left + face.bounding_box.width / 2
    y = face.bounding_box.top + face.bounding_box.height / 2
    column = "left" if x < 1 / 3 else "right" if x > 2 / 3 else "middle"
    row = "top" if y < 1 / 3 else "bottom" if y > 2 / 3 else ""
    return f"{row} {column}".strip()


def _similarity(similarity: float, claims: Claims | None) -> str:
    text = f"similarity {similarity:.2f}"
    return text if claims is None else f"{text}, {claims(similarity).of_pairs}"


def _about_threshold(threshold: float, claims: Claims | None, found: Sequence[FaceMatch]) -> Iterator[str]:
    claim = None if claims is None else claims(threshold)
    if claim is None or claim.kind == "unknown":
        yield f"Threshold {threshold:g}: the pack is not calibrated, so its false match rate is unknown."
        yield "  Where someone's rights or safety are at stake, calibrate the pack first (likeness calibrate)."
        return
    yield f"Threshold {threshold:g}: {claim.of_pairs}."
    if len(found) > 1 and claim.rate < 1 and claim.kind != "rarer":
        chance = 1 - (1 - claim.rate) ** len(found)
        crowd = f"With {len(found)} faces in a photo"
        marked = " (extrapolated)" if claim.kind == "extrapolated" else ""
        yield f"  {crowd}, a different person reaches it in {_percent(chance)} of such photos{marked}."
    if threshold < STRICT_THRESHOLD:
        yield f"  Where someone's rights or safety are at stake, use {STRICT_THRESHOLD:g} and let a person decide."


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share >= 1e-4 else "less than 0.01 %"


def _advice(comparison: Comparison, source: Photo, target: Photo, found: Sequence[FaceMatch]) -> Iterator[str]:
    yield from (f"{source.name}: {each}" for each in _shortcomings(comparison.source, source))
    for number, each in enumerate(found[:DESCRIBED], 1):
        about = target.name if len(found) == 1 else f"{target.name}, face {number}"
        yield from (f"{about}: {advice}" for advice in _shortcomings(each.face, target))
    if comparison.trace.source_faces > 1:
        shown = comparison.trace.source_faces
        yield f"{source.name}: it shows {shown} faces and the largest was taken; crop it to one person"


def _shortcomings(face: Face, photo: Photo) -> Iterable[str]:
    width_px, _ = face_size_px(face, photo)
    box, quality, pose = face.bounding_box, face.quality, face.pose
    if width_px < GOOD_WIDTH_PX:
        yield f"the face is {width_px:.0f} px wide; come closer or use more pixels, {GOOD_WIDTH_PX} px or more"
    if quality.sharpness < GOOD_SHARPNESS:
        yield "the face is blurred; focus on it, hold the camera still, compress less"
    if quality.brightness < GOOD_BRIGHTNESS:
        yield "the face is dark; put light on it from the front"
    if quality.brightness > GLARING_BRIGHTNESS:
        yield "the face is overexposed; use softer light"
    if abs(pose.yaw) > GOOD_YAW_DEG:
        yield f"the face is turned {abs(pose.yaw):.0f}° away; let the person look into the camera"
    if abs(pose.pitch) > GOOD_PITCH_DEG:
        yield f"the camera sees the face from {'above' if pose.pitch < 0 else 'below'}; hold it at eye level"
    if box.left < 0 or box.top < 0 or box.left + box.width > 1 or box.top + box.height > 1:
        yield "the face is cut off by the photo's edge; leave some room around it"
