"""Runs one input again: `python -m fuzz.replay TARGET FILE`; whatever it raises is printed with its traceback."""

import sys
import time
from pathlib import Path

from fuzz import target as targets
from fuzz.watched import peak_bytes


def main() -> None:
    target = targets.load(sys.argv[1])
    data = Path(sys.argv[2]).read_bytes()
    before, began = peak_bytes(), time.process_time()
    try:
        target.run(data)
        ending = "answer"
    except target.allowed as error:
        ending = f"{type(error).__name__}: {error}"
    print(f"{ending}\n{time.process_time() - began:.3f} s, {(peak_bytes() - before) / 1e6:.1f} MB more")


if __name__ == "__main__":
    main()
