"""A pack of one's own: the accuracy on lfw-dev of two networks of others, added by `likeness packs new` alone.

    python benchmarks/own_pack.py [--models MODELS] [--embeddings FILE]

It needs files that are not in the repository: YuNet and Intel's face-reidentification-retail-0095, in the folder
MODELS, and lfw-dev (LIKENESS_DATA): 3,000 pairs in five folds, the threshold of each chosen on the others. Cosines
suffice for that.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from likeness.cli.main import main as likeness
from likeness.comparer import Comparer, ComparerSettings
from likeness.evaluation.embeddings import embed_photos
from likeness.evaluation.measure import evaluate
from likeness.evaluation.pairs import read_pairs

DATA = Path(os.environ.get("LIKENESS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
DETECTOR, EMBEDDER = "face_detection_yunet_2023mar.onnx", "face-reidentification-retail-0095.onnx"


def main() -> int:
    """Prints the accuracy and its standard error; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", type=Path, default=DATA.parent / "models", help="the folder of the two networks")
    parser.add_argument("--embeddings", type=Path, help="keep vectors here, and resume from it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pack = Path(folder) / "mine"
        networks = ["--detector", str(options.models / DETECTOR), "--embedder", str(options.models / EMBEDDER)]
        code = likeness(["packs", "new", str(pack), *networks])
        if code:
            return code
        pairs = read_pairs(DATA / "lfw-dev" / "pairs.csv")
        photos = [DATA / "lfw-dev" / name for name in pairs.photos]
        with Comparer(pack, settings=ComparerSettings(uncalibrated=True)) as comparer:
            result = evaluate(comparer, pairs, embed_photos(comparer, photos, keep=options.embeddings))
    if result.accuracy is None:
        raise ValueError("the pairs have no folds")
    value, error = result.accuracy
    print(f"\n{len(pairs.same):,} pairs: accuracy {value:.4f}, standard error {error:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
