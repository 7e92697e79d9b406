"""The AWS command line, version 1 from the package index and version 2 where it is installed (vector 41)."""

import json
import shutil
import subprocess
import sys
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.engine

BUCKET = "photos-test"


@dataclass(frozen=True)
class Aws:
    """One version of the command; 1 ends with 255 on an error of the service, 2 with 254."""

    program: str
    server: Any
    version: str

    def run(self, *arguments: str, key: str = "full") -> "subprocess.CompletedProcess[str]":
        command = [self.program, "rekognition", "compare-faces", "--endpoint-url", self.server.url, *arguments]
        environment = self.server.environment(key)
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)

    def refused(self, *arguments: str, key: str = "full") -> str:
        done = self.run(*arguments, key=key)
        assert done.returncode == (255 if self.version == "1" else 254), done.stderr
        assert done.stdout == ""
        return done.stderr.strip().removeprefix("aws: [ERROR]: ")


def _version(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


@pytest.fixture(scope="session", params=["1", "2"])
def aws(request: pytest.FixtureRequest, server: Any) -> Aws:
    """Version 1 stands beside this Python; version 2 is whichever `aws` of the machine says that it is."""
    beside = str(Path(sys.executable).with_name("aws"))
    candidates = [beside] if request.param == "1" else ["/usr/bin/aws", shutil.which("aws"), "/usr/local/bin/aws"]
    for program in candidates:
        if program and Path(program).exists() and _version(program).startswith(f"aws-cli/{request.param}."):
            return Aws(program, server, request.param)
    pytest.skip(
        f"there is no AWS CLI of version {request.param} (version 1: pip install awscli; 2: apt install awscli)"
    )


def image(path: Path) -> str:
    return f"fileb://{path}"


def test_bytes(aws: Aws, photo_files: dict[str, Path]) -> None:
    person, again = image(photo_files["person"]), image(photo_files["again"])
    done = aws.run("--source-image-bytes", person, "--target-image-bytes", again, "--similarity-threshold", "50")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert list(answer) == ["SourceImageFace", "FaceMatches", "UnmatchedFaces"]
    assert answer["FaceMatches"][0]["Similarity"] >= 50


def test_s3_objects(aws: Aws, s3_versions: dict[str, str]) -> None:
    reference = {"S3Object": {"Bucket": BUCKET, "Name": "person.jpg", "Version": s3_versions["person"]}}
    done = aws.run(
        "--source-image",
        f"S3Object={{Bucket={BUCKET},Name=person.jpg}}",
        "--target-image",
        json.dumps(reference),
        "--query",
        "FaceMatches[].Similarity",
        "--output",
        "text",
        "--quality-filter",
        "LOW",
    )
    assert (done.returncode, done.stdout.strip()) == (0, "100.0"), done.stderr


def test_temporary_credentials(aws: Aws, photo_files: dict[str, Path]) -> None:
    person = image(photo_files["person"])
    done = aws.run("--source-image-bytes", person, "--target-image-bytes", person, key="session")
    assert done.returncode == 0, done.stderr


ERROR = "An error occurred ({}) when calling the CompareFaces operation: {}"


@pytest.mark.parametrize(
    ("arguments", "key", "code", "text"),
    [
        (["--source-image-bytes", "no-face"], "full", "InvalidParameterException", "Request has invalid parameters"),
        (["--source-image-bytes", "text"], "full", "InvalidImageFormatException", "Request has invalid image format"),
        (
            ["--source-image", f"S3Object={{Bucket={BUCKET},Name=missing.jpg}}"],
            "full",
            "InvalidS3ObjectException",
            "Unable to get object metadata from S3. Check object key, region and/or access permissions.",
        ),
        (
            ["--source-image-bytes", "person", "--quality-filter", "BEST"],
            "full",
            "ValidationException",
            "1 validation error detected: Value 'BEST' at 'qualityFilter' failed to satisfy constraint: "
            "Member must satisfy enum value set: [NONE, AUTO, LOW, MEDIUM, HIGH]",
        ),
        (
            ["--source-image-bytes", "person"],
            "denied",
            "AccessDeniedException",
            "User: arn:aws:iam::111122223333:user/denied is not authorized to perform: rekognition:CompareFaces "
            "with an explicit deny in an identity-based policy",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.endswith("Exception") else "",
)
def test_errors(aws: Aws, arguments: list[str], key: str, code: str, text: str, photo_files: dict[str, Path]) -> None:
    given = [image(photo_files[each]) if each in photo_files else each for each in arguments]
    person = image(photo_files["person"])
    assert aws.refused(*given, "--target-image-bytes", person, key=key) == ERROR.format(code, text)


def test_not_a_number(aws: Aws, photo_files: dict[str, Path]) -> None:
    """Version 1 sends "NaN" as a text, which is a float out of range; 2.9 sends a bare token, which is not JSON."""
    person = image(photo_files["person"])
    arguments = ["--source-image-bytes", person, "--target-image-bytes", person, "--similarity-threshold", "nan"]
    text = aws.refused(*arguments)
    assert text.startswith(("An error occurred (ValidationException)", "An error occurred (SerializationException)"))


def test_base64_in_a_member_is_encoded_again_by_version_1(aws: Aws, photos: Any, photo_files: dict[str, Path]) -> None:
    tiny = b64encode(photos.jpeg(photos.pixels(photos.person).resize((40, 40)))).decode()
    text = aws.refused("--source-image", f"Bytes={tiny}", "--target-image-bytes", image(photo_files["person"]))
    too_small = ERROR.format("InvalidParameterException", "Request has invalid parameters")
    no_photo = ERROR.format("InvalidImageFormatException", "Request has invalid image format")
    assert text == (no_photo if aws.version == "1" else too_small)


def test_a_missing_option_never_reaches_the_server(aws: Aws) -> None:
    done = aws.run()
    assert done.returncode == (255 if aws.version == "1" else 252)
    assert 'Missing required parameter in input: "SourceImage"' in done.stderr
