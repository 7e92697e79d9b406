"""face_recognition 1.3.0 as its documentation uses it: the source's largest face against every face of the target."""

from typing import Any

import face_recognition
from benchmarks.speed.workers import turn


def _largest(photo: Any) -> list[Any]:
    places = face_recognition.face_locations(photo)
    if not places:
        return []
    top, right, bottom, left = max(places, key=lambda place: (place[2] - place[0]) * (place[1] - place[3]))
    vectors: list[Any] = face_recognition.face_encodings(photo, [(top, right, bottom, left)])
    return vectors


def _against(source: list[Any], target_path: str) -> list[float]:
    target = face_recognition.load_image_file(target_path)
    vectors = face_recognition.face_encodings(target, face_recognition.face_locations(target))
    return [float(value) for value in face_recognition.face_distance(vectors, source[0])] if source and vectors else []


def pair(request: dict[str, Any]) -> dict[str, Any]:
    source = _largest(face_recognition.load_image_file(request["source"]))
    distances = _against(source, request["target"])
    return {"faces": len(distances), "best": min(distances, default=None)}


def many(request: dict[str, Any]) -> dict[str, Any]:
    source = _largest(face_recognition.load_image_file(request["source"]))
    return {"faces": sum(len(_against(source, target)) for target in request["targets"])}


turn.serve({"pair": pair, "many": many})
