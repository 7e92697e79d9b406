"""Identifies content that is neither JPEG nor PNG, so that an error can name it."""

from likeness.image import transit_damage

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"GIF8", "a GIF image"),
    (b"BM", "a BMP image"),
    (b"II*\x00", "a TIFF or camera raw image"),
    (b"MM\x00*", "a TIFF or camera raw image"),
    (b"II+\x00", "a BigTIFF image"),
    (b"%PDF", "a PDF document"),
    (b"8BPS", "a Photoshop document"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"\x00\x00\x01\x00", "a Windows icon"),
    (b"\x8aMNG", "an MNG animation"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"\x1aE\xdf\xa3", "a WebM or Matroska video"),
    (b"\x76\x2f\x31\x01", "an OpenEXR image"),
)
_BRANDS = {b"avif": "an AVIF image", b"avis": "an AVIF image", b"qt  ": "a QuickTime video"}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}

_PHOTO_NAMES = (b".jpg", b".jpeg", b".png")

CONVERT = "Only JPEG and PNG are accepted: convert it to one of them."
ENCODED_TWICE = "it is base64 text, not an image. It was encoded twice: pass the raw bytes; the client encodes them."
DATA_URL = "it is a data URL, not an image. Pass only the bytes after the comma, decoded from base64."
FILE_NAME = "it is the name of a file, not its content. Pass the bytes of the file."


def describe(data: bytes) -> str:
    """What `data`, neither a JPEG nor a PNG, looks like and what to do, for people ("it is a GIF image. ...")."""
    if not data:
        return "it is empty (0 bytes). Pass the bytes of a JPEG or PNG file."
    start = data[:512].lstrip()
    binary = _binary_kind(data)
    if binary is not None:
        return f"it is {binary}. {CONVERT}"
    damage = _not_the_bytes(data, start) or transit_damage.describe_damage(data)
    if damage is not None:
        return damage
    text = _text_kind(start)
    if text is not None:
        return f"it is {text}. {CONVERT}"
    return f"it is neither a JPEG nor a PNG (it starts with the bytes {data[:4].hex(' ')}). {CONVERT}"


def _not_the_bytes(data: bytes, start: bytes) -> str | None:
    """Describes data that represents a photo but is not its bytes: base64, a data URL, a file name, zeros."""
    if transit_damage.is_quoted_base64(start):
        return ENCODED_TWICE
    if start.lstrip(b"\"'")[:5].lower() == b"data:":
        return DATA_URL
    if len(data) < len(start) + 2 and start.rstrip().lower().endswith(_PHOTO_NAMES) and _text_kind(start):
        return FILE_NAME
    if not any(data[:4096]):
        return "it starts with zeros only. The file was not written completely, or its upload failed: send it again."
    return None


def _binary_kind(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "a WebP image"
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        return "a HEIC image" if brand in _HEIF_BRANDS else _BRANDS.get(brand, "an MP4 video")
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), None)


def _text_kind(start: bytes) -> str | None:
    lowered = start[:256].lower()
    if b"<svg" in lowered:
        return "an SVG drawing"
    if lowered.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if lowered.startswith(b"<?xml"):
        return "an XML document"
    if start and all(byte in b"\t\r\n\f" or 32 <= byte < 127 for byte in start):
        return "text"
    return None
