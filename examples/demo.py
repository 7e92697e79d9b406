"""The program of `make demo`: compares two portraits, then one with a group, and shows the commands."""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image

from likeness import packs

OUTPUT = Path(__file__).resolve().parents[1] / "demo-output"


def group_photo(portraits: list[Path], to: Path) -> Path:
    """Saves the portraits side by side, at one height, as a JPEG file."""
    opened = [Image.open(path).convert("RGB") for path in portraits]
    height = min(image.height for image in opened)
    scaled = [image.resize((round(image.width * height / image.height), height)) for image in opened]
    group = Image.new("RGB", (sum(image.width for image in scaled), height))
    left = 0
    for image in scaled:
        group.paste(image, (left, 0))
        left += image.width
    group.save(to, quality=92)
    return to


def compare(title: str, source: Path, target: Path, *more: str) -> None:
    """Runs `likeness compare-faces` as a new process and prints the command, its answer and the time it took."""
    words = ["likeness", "compare-faces", "--source-image-bytes", f"fileb://{source}"]
    words += ["--target-image-bytes", f"fileb://{target}", *more]
    print(f"\n== {title}\n$ {shlex.join(words)}", flush=True)
    started = time.perf_counter()
    # The console script is in the folder of the interpreter that runs this demo.
    command = [str(Path(sys.executable).with_name("likeness")), *words[1:]]
    subprocess.run(command, check=True, env={**os.environ, "AWS_PAGER": ""})
    print(f"-- took {time.perf_counter() - started:.2f} s, including the start of the program", flush=True)


def main() -> None:
    OUTPUT.mkdir(exist_ok=True)
    portraits = packs.samples()
    obama, obama_again, biden = (portraits[name] for name in ("obama.jpg", "obama2.jpg", "biden.jpg"))
    group = group_photo([biden, obama_again], OUTPUT / "group.jpg")
    picture = OUTPUT / "annotated.png"
    compare("Two portraits of one person", obama, obama_again)
    compare("One portrait against a group of two people", obama, group, "--overlay", str(picture))
    print(f"\nThe annotated picture: {picture}")


if __name__ == "__main__":
    main()
