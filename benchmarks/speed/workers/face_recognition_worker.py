"""face_recognition 1.3.0 as its documentation uses it: the source's largest face against every face of the target."""

import face_recognition
import turn


def _largest(photo):
    places = face_recognition.face_locations(photo)
    if not places:
        return []
    top, right, bottom, left = max(places, key=lambda place: (place[2] - place[0]) * (place[1] - place[3]))
    return face_recognition.face_encodings(photo, [(top, right, bottom, left)])


def _against(source, target_path):
    target = face_recognition.load_image_file(target_path)
    vectors = face_recognition.face_encodings(target, face_recognition.face_locations(target))
    return [float(value) for value in face_recognition.face_distance(vectors, source[0])] if source and vectors else []


def pair(request):
    source = _largest(face_recognition.load_image_file(request["source"]))
    distances = _against(source, request["target"])
    return {"faces": len(distances), "best": min(distances, default=None)}


def many(request):
    source = _largest(face_recognition.load_image_file(request["source"]))
    return {"faces": sum(len(_against(source, target)) for target in request["targets"])}


turn.serve({"pair": pair, "many": many})
