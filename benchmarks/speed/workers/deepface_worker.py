"""deepface 0.0.103 with its Dlib model and dlib detector, as its documentation uses it: `DeepFace.verify`."""

import turn
from deepface import DeepFace


def _verify(source, target):
    # enforce_detection=False would compare whole photos if no face is found, instead of an error.
    return DeepFace.verify(source, target, model_name="Dlib", detector_backend="dlib")


def pair(request):
    answer = _verify(request["source"], request["target"])
    return {"best": answer["distance"], "verified": bool(answer["verified"])}


def many(request):
    for target in request["targets"]:
        _verify(request["source"], target)


turn.serve({"pair": pair, "many": many})
