"""The parameters of a detector as a pack's manifest gives them."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from likeness.packs.embedder_input import Colour, Level, Scale


class DetectorInput(Struct, frozen=True, forbid_unknown_fields=True):
    """The detector's parameters; those that are not given are those of its family (`likeness.families.detectors`).

    `side_px` is the side of the square input, 0 for any multiple of 32; `colour`, `mean` and `scale` are as in
    `EmbedderInput`; detections below `score_threshold` are dropped, and from `certain_score` on a photo has a face,
    both on the network's own scale, 0 to 1.
    """

    side_px: Annotated[int, Meta(ge=0, le=8192, multiple_of=32)] | UnsetType = UNSET
    colour: Colour | UnsetType = UNSET
    mean: tuple[Level, Level, Level] | UnsetType = UNSET
    scale: Scale | UnsetType = UNSET
    score_threshold: Annotated[float, Meta(ge=0, lt=1)] | UnsetType = UNSET
    certain_score: Annotated[float, Meta(gt=0, lt=1)] | UnsetType = UNSET
