"""Hints for invalid values: what to write instead, derived from the value."""

import json
import os
import re
from typing import Any

_PHOTO_NAMES = (".jpg", ".jpeg", ".png")
#: A value with its member's name, as shorthand or JSON, around what may be the photo.
_MEMBER = re.compile(
    r"""^\s*(?:\{\s*["']?)?(?:Bytes|S3Object)["']?\s*(?:@?=|:)\s*["']?(.*?)["']?\s*\}?\s*$""", re.DOTALL
)
_S3_ADDRESS = re.compile(r"s3://([^/]+)/(.+)", re.IGNORECASE)
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_FILE_SCHEME = re.compile(r"fileb?:(//)?", re.IGNORECASE)
#: How JPEG and PNG begin in base64 and base64url.
_BASE64_STARTS = ("/9j/", "_9j_", "iVBORw0KGgo")
_URL_SAFE_ONLY = re.compile(r"[-_]")
_EMPTY = "Bytes is empty (0 bytes). Give a file as fileb:// and its name, standard input as fileb:///dev/stdin"
#: The longest value that may be a path.
_LONGEST_PATH = 4096


def photo_hint(value: str) -> str | None:
    """What to write instead of a value that is neither shorthand nor base64; None without a suggestion."""
    inner = _MEMBER.match(value)
    meant = (inner[1] if inner else value).strip().strip("\"'").strip()
    if len(meant) > _LONGEST_PATH:
        return None
    s3 = _S3_ADDRESS.fullmatch(meant)
    if s3:
        place = json.dumps({"S3Object": {"Bucket": s3[1], "Name": s3[2]}})
        return f"for an object in S3, write --source-image '{place}' (or --target-image)"
    file = _FILE_SCHEME.match(meant)
    address = _ADDRESS.match(meant)
    if address and not file:
        scheme = address[1].lower()
        return f"{scheme}:// addresses are not fetched: download the photo, and write fileb:// and the name of the file"
    path = meant[file.end() :] if file else meant
    if path.startswith("@") and not is_file(path):  # curl's syntax
        path = path[1:]
    if not (file or path.lower().endswith(_PHOTO_NAMES) or is_file(path)):
        return None
    return f"to compare the photo in that file, write --source-image-bytes (or --target-image-bytes) fileb://{path}"


def is_file(path: str) -> bool:
    """Whether there is such a file; False for what cannot be a path."""
    try:
        return os.path.isfile(os.path.expanduser(path))
    except ValueError:  # it contains a NUL
        return False


def bytes_hint(texts: dict[str, str], parameters: dict[str, Any]) -> str | None:
    """What Bytes without a photo may be, from the `texts` (by member) that they were decoded from."""
    hints = [base64_hint(member, text) for member, text in texts.items()]
    hints += [f"{member}: {_EMPTY}" for member, image in parameters.items() if _is_empty(image)]
    return next((hint for hint in hints if hint), None)


def _is_empty(image: Any) -> bool:
    return isinstance(image, dict) and image.get("Bytes") == b""


def base64_hint(member: str, text: str) -> str | None:
    """What a text may be that yields no photo when decoded from base64 leniently, as by AWS CLI; None if unclear."""
    # Imported here: few commands need it, and it imports the decoders.
    from likeness.image import transit_damage

    start = text[:1024].strip()
    if start[:5].lower() == "data:":
        return f"{member}: Bytes is a data URL. Give only the part after the comma, or the file itself as fileb://"
    if start.startswith(_BASE64_STARTS) and _URL_SAFE_ONLY.search(text):
        return (
            f"{member}: Bytes is base64 in the alphabet for URLs, with - and _. Give it with + and /, or the file "
            "itself as fileb://"
        )
    hint = photo_hint(text) or transit_damage.describe_damage(start.encode("utf-8", "replace"))
    return hint and f"{member}: {hint}"
