"""`likeness compare-faces help`: the manual page, through the pager on a terminal."""

import os
import shutil
import textwrap

from likeness.cli.options import OPTIONS, Option
from likeness.cli.output import write
from likeness.cli.pager import DEFAULT_PAGER

NARROWEST, WIDEST = 60, 100

_DESCRIPTION = """
Compares the largest face of a source photo with each of the (at most 100) largest faces of a target photo, and prints
the service's JSON: FaceMatches, most similar first, each with Similarity, box, five landmarks, pose, quality, emotions
and smile; UnmatchedFaces, those below the threshold; and SourceImageFace.

Photos are JPEG or PNG with sides of at least 80 pixels: up to 5 MiB from a file, up to 15 MiB from S3. JPEG photos are
turned as their EXIF orientation says; all coordinates are ratios of the upright photo's width and height and may lie
outside it. If a photo shows no face, the answer is an InvalidParameterException.

Without --endpoint-url (or AWS_ENDPOINT_URL_REKOGNITION, or AWS_ENDPOINT_URL) photos are compared in this process and
never leave the machine; no credentials are needed. With it, the command is a client of any CompareFaces endpoint.

Similarity is a measure of likeness, not proof of identity. Where a decision touches someone's rights, privacy or access
to services, let a person look at the result (--explain helps), and use a threshold of 99.
"""

_IMAGES = """
A photo is given in one of these ways:

  --source-image-bytes fileb://photo.jpg               a file
  --source-image 'S3Object={Bucket=b,Name=photo.jpg}'  an object of S3,
                                                       with your credentials
  --source-image '{"S3Object": {"Bucket": "b", "Name": "photo.jpg"}}'
  --source-image "Bytes=$(base64 -w0 photo.jpg)"       base64

With AWS_ENDPOINT_URL_S3, objects come from that S3; with
LIKENESS_S3_DIRECTORY, they are files below that folder.
"""

_EXAMPLES = """
Compare two photos:
  likeness compare-faces --source-image-bytes fileb://a.jpg \\
      --target-image-bytes fileb://b.jpg

Only the similarities of all faces, one per line:
  likeness compare-faces --source-image-bytes fileb://a.jpg \\
      --target-image-bytes fileb://group.jpg --similarity-threshold 0 \\
      --query 'FaceMatches[].[Similarity]' --output text

See where the faces are, and read what to make of the answer:
  likeness compare-faces --source-image-bytes fileb://a.jpg \\
      --target-image-bytes fileb://group.jpg --overlay faces.png --explain

Ask a server:
  likeness compare-faces --endpoint-url http://127.0.0.1:8080 \\
      --region us-east-1 --cli-input-json file://request.json
"""

_EXIT_CODES = """
    0  an answer was printed
  252  the arguments are not valid
  253  no region, no credentials, no pager, or no usable model pack
  254  the service, or the engine in its place, answered with an error
  255  anything else: no connection, no such profile, invalid base64
  130  interrupted
"""


def show() -> None:
    """Prints the page, through the pager on a terminal."""
    pager = os.environ.get("AWS_PAGER", os.environ.get("PAGER", DEFAULT_PAGER))
    page = text(shutil.get_terminal_size((80, 24)).columns)
    write(lambda stream: stream.write(page), pager if shutil.which(pager.split(" ")[0]) else None)


def text(columns: int) -> str:
    """The page for a terminal with that many columns."""
    width = max(NARROWEST, min(columns, WIDEST))
    synopsis = " ".join(_synopsis(option) for option in OPTIONS)
    sections = [
        ("NAME", "likeness compare-faces - compare the largest face of a photo with the faces of another"),
        ("SYNOPSIS", _filled(f"likeness compare-faces {synopsis}", width - 4)),
        ("DESCRIPTION", "\n\n".join(_filled(part, width - 4) for part in _DESCRIPTION.strip().split("\n\n"))),
        ("PHOTOS", _IMAGES.strip()),
        ("OPTIONS", _option_list("operation", width)),
        ("OPTIONS OF EVERY AWS COMMAND", _option_list("global", width)),
        ("OPTIONS OF LIKENESS", _option_list("likeness", width)),
        ("EXAMPLES", _EXAMPLES.strip()),
        ("EXIT CODES", _EXIT_CODES.strip("\n")),
    ]
    return "\n".join(f"{title}\n{textwrap.indent(body, '    ')}\n" for title, body in sections)


def _synopsis(option: Option) -> str:
    # A no-break space keeps an option and its value on one line; `_filled` replaces it by a space.
    return f"[{option.flag}\N{NO-BREAK SPACE}<value>]" if option.takes_value else f"[{option.flag}]"


def _option_list(scope: str, width: int) -> str:
    return "\n\n".join(_entry(option, width) for option in OPTIONS if option.scope == scope)


def _entry(option: Option, width: int) -> str:
    values = f"One of: {', '.join(option.choices)}." if option.choices else ""
    about = _filled(f"{option.summary} {values}".strip(), width - 8)
    return f"{option.flag}{' <value>' if option.takes_value else ''}\n{textwrap.indent(about, '    ')}"


def _filled(paragraph: str, width: int) -> str:
    joined = " ".join(paragraph.split("\n"))
    return textwrap.fill(joined, width, break_long_words=False, break_on_hyphens=False).replace(
        "\N{NO-BREAK SPACE}", " "
    )
