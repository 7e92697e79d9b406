"""deepface 0.0.103 with its Dlib model and dlib detector, as its documentation uses it: `DeepFace.verify`."""

from typing import Any

from benchmarks.speed.workers import turn
from deepface import DeepFace


def _verify(source: str, target: str) -> Any:
    # enforce_detection=False would compare whole photos if no face is found, instead of an error.
    return DeepFace.verify(source, target, model_name="Dlib", detector_backend="dlib")


def pair(request: dict[str, Any]) -> dict[str, Any]:
    answer = _verify(request["source"], request["target"])
    return {"best": answer["distance"], "verified": bool(answer["verified"])}


def many(request: dict[str, Any]) -> None:
    for target in request["targets"]:
        _verify(request["source"], target)


turn.serve({"pair": pair, "many": many})
