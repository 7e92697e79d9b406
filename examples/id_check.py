"""An ID photo against a selfie: accepted above one threshold, refused below another; a person decides in between.

    python examples/id_check.py id.jpg selfie.jpg

Thresholds correspond to false match rates: among different people of the same origin and sex, about one pair in 100,000
(extrapolated) reaches a Similarity of 95, and one in 1,000 reaches 80 (docs/accuracy.md). There is no liveness check: a
photo of a photo is a face.
"""

import argparse
import sys

import likeness
from likeness.errors import RequestError

ACCEPTED_FROM, REVIEWED_FROM = 95.0, 80.0


def checked(id_photo: str, selfie: str) -> tuple[str, str]:
    """The outcome for the pair ("accepted", "refused" or "review"), and the reason."""
    try:
        # At a threshold of 0 every usable face is a match; AUTO excludes faces of too low quality.
        comparison = likeness.compare_faces(id_photo, selfie, similarity_threshold=0, quality_filter="AUTO")
    except RequestError as error:
        return "review", f"the photos cannot be compared: {error}"
    if len(comparison.matches) != 1:
        return "review", f"{len(comparison.matches)} usable faces on the selfie instead of one"
    similarity = comparison.matches[0].similarity
    if similarity >= ACCEPTED_FROM:
        return "accepted", f"Similarity {similarity:.1f}"
    return ("review" if similarity >= REVIEWED_FROM else "refused"), f"Similarity {similarity:.1f}"


def reviewed(id_photo: str, selfie: str) -> str:
    """The decision of a person who has seen both photos."""
    answer = input(f"Do {id_photo} and {selfie} show one person? [y/N] ")
    return "accepted" if answer.strip().lower() in ("y", "yes") else "refused"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("id_photo")
    parser.add_argument("selfie")
    photos = parser.parse_args()
    outcome, reason = checked(photos.id_photo, photos.selfie)
    print(f"{outcome}: {reason}")
    if outcome == "review":
        outcome = reviewed(photos.id_photo, photos.selfie)
        print(f"{outcome}: decided by a person")
    sys.exit(0 if outcome == "accepted" else 1)


if __name__ == "__main__":
    main()
