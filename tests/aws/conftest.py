"""A comparison as an engine would give it."""

import pytest

from likeness.faces import BoundingBox, Comparison, Emotion, Face, FaceMatch, Landmark, Pose, Quality, Smile


@pytest.fixture(scope="session")
def comparison() -> Comparison:
    face = Face(
        BoundingBox(0.12368916720151901, 0.3, -0.01, 0.25),
        99.99,
        landmarks=(
            Landmark("eyeLeft", 0.1, 0.2),
            Landmark("eyeRight", 0.2, 0.2),
            Landmark("mouthLeft", 0.1, 0.3),
            Landmark("mouthRight", 0.2, 0.3),
            Landmark("nose", 0.15, 0.25),
        ),
        pose=Pose(1.5, -2.5, 3.25),
        quality=Quality(65.3, 95.5),
        emotions=(Emotion("CALM", 75.0), Emotion("HAPPY", 25.0)),
        smile=Smile(False, 90.0),
    )
    return Comparison(face, (FaceMatch(100.0, face),), (FaceMatch(12.5, face),))
