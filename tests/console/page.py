"""What a person does with the console, in a real browser, and what then stands on the screen."""

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

Open = Callable[..., Any]
Files = dict[str, Path]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


def put(page: Any, side: str, *paths: Path) -> None:
    page.locator(f"[data-side={side}] input[type=file]").first.set_input_files([str(path) for path in paths])


def answered(page: Any) -> None:
    page.locator("#results").wait_for(state="visible", timeout=60_000)


def compare(page: Any, source: Path, target: Path) -> None:
    put(page, "source", source)
    put(page, "target", target)
    answered(page)


def problem(page: Any) -> str:
    page.locator(".problem").wait_for(timeout=60_000)
    return str(page.locator(".problem").inner_text())


def is_post(request: Any) -> bool:
    return bool(request.method == "POST")


def count_requests(page: Any) -> list[Any]:
    sent: list[Any] = []
    page.on("request", lambda request: sent.append(request) if is_post(request) else None)
    return sent


def drop(page: Any, side: str, *paths: Path) -> None:
    """Drops files as a person does: with a DataTransfer, on the slot."""
    given = [[path.name, b64encode(path.read_bytes()).decode()] for path in paths]
    transfer = page.evaluate_handle(
        """(files) => {
          const transfer = new DataTransfer();
          const octets = (text) => Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
          for (const [name, text] of files) transfer.items.add(new File([octets(text)], name));
          return transfer;
        }""",
        given,
    )
    page.dispatch_event(f"[data-side={side}]", "drop", {"dataTransfer": transfer})


def drawn_boxes(page: Any, side: str) -> list[dict[str, float]]:
    """Each box as it stands on the screen, as ratios of the photo as it stands there."""
    return list(
        page.evaluate(
            """(side) => {
              const photo = document.querySelector(`[data-side=${side}] img`).getBoundingClientRect();
              return [...document.querySelectorAll(`[data-side=${side}] .face`)].map((each) => {
                const box = each.getBoundingClientRect();
                return { Left: (box.left - photo.left) / photo.width, Top: (box.top - photo.top) / photo.height,
                         Width: box.width / photo.width, Height: box.height / photo.height };
              });
            }""",
            side,
        )
    )
