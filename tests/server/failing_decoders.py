"""`likeness serve` whose decoders obey the last bytes of a photo, as `tests/isolation/failing.py` has it."""

import sys
from pathlib import Path

from likeness.cli.serve import main
from likeness.isolation import process

FOLDER = str(Path(__file__).resolve().parents[1] / "isolation")
OBEY = f"import likeness.isolation.decoder; sys.path.append({FOLDER!r}); import failing; "

if __name__ == "__main__":
    process._PROGRAM = process._PROGRAM.replace("from likeness", OBEY + "from likeness")
    raise SystemExit(main(sys.argv[1:]))
