"""The JavaScript SDK v3: all cases in one run of node, as its start takes most of the time."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.engine

SCRIPT = """
import { readFileSync } from "node:fs";
import * as sdk from "@aws-sdk/client-rekognition";

const { url, credentials, files, bucket } = JSON.parse(process.argv[2]);
const client = (key) => new sdk.RekognitionClient({
  endpoint: url, region: "eu-central-1", credentials: credentials[key], maxAttempts: 1,
});
const bytes = (name) => ({ Bytes: readFileSync(files[name]) });
const stored = (name) => ({ S3Object: { Bucket: bucket, Name: name } });
const person = bytes("person");

const cases = {
  bytes: ["full", { SourceImage: person, TargetImage: bytes("again") }],
  session: ["session", { SourceImage: person, TargetImage: person, SimilarityThreshold: 99.5 }],
  stored: ["full", { SourceImage: stored("person.jpg"), TargetImage: stored("folder/again ä.jpg") }],
  nobody: ["full", { SourceImage: bytes("no-face"), TargetImage: person }],
  text: ["full", { SourceImage: bytes("text"), TargetImage: person }],
  empty: ["full", { SourceImage: { Bytes: new Uint8Array() }, TargetImage: person }],
  missing: ["full", { SourceImage: stored("missing.jpg"), TargetImage: person }],
  large: ["full", { SourceImage: stored("large.jpg"), TargetImage: person }],
  threshold: ["full", { SourceImage: person, TargetImage: person, SimilarityThreshold: 100.5 }],
  denied: ["denied", { SourceImage: person, TargetImage: person }],
  revoked: ["revoked", { SourceImage: person, TargetImage: person }],
};

const found = {};
for (const [name, [key, input]] of Object.entries(cases)) {
  try {
    const answer = await client(key).send(new sdk.CompareFacesCommand(input));
    found[name] = { answer, requestId: answer.$metadata.requestId };
  } catch (error) {
    found[name] = {
      name: error.name, message: error.message, status: error.$metadata?.httpStatusCode,
      requestId: error.$metadata?.requestId,
      own: sdk[error.name] !== undefined && error instanceof sdk[error.name],
      base: error instanceof sdk.RekognitionServiceException,
    };
  }
}
console.log(JSON.stringify(found));
"""


@pytest.fixture(scope="module")
def found(
    javascript_sdk: Path, server: Any, photo_files: dict[str, Path], s3_versions: dict[str, str]
) -> dict[str, Any]:
    """What the SDK made of each case."""
    script = javascript_sdk / "cases.mjs"
    script.write_text(SCRIPT)
    credentials = {
        name: {"accessKeyId": record.id, "secretAccessKey": record.secret}
        | ({"sessionToken": record.session_token} if record.session_token else {})
        for name, record in server.keys.items()
    }
    files = {name: str(path) for name, path in photo_files.items()}
    given = {"url": server.url, "credentials": credentials, "files": files, "bucket": "photos-test"}
    done = subprocess.run(
        ["node", script, json.dumps(given)],
        cwd=javascript_sdk,
        env=server.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads(done.stdout)
    return results


def test_every_answer_has_a_request_id(found: dict[str, Any]) -> None:
    assert len(found) == 11
    assert all(len(each["requestId"]) == 36 for each in found.values())


def test_bytes(found: dict[str, Any]) -> None:
    assert len(found["bytes"]["answer"]["FaceMatches"]) == 1


def test_temporary_credentials(found: dict[str, Any]) -> None:
    assert found["session"]["answer"]["FaceMatches"][0]["Similarity"] == 100


def test_s3_objects(found: dict[str, Any]) -> None:
    assert len(found["stored"]["answer"]["FaceMatches"]) == 1


@pytest.mark.parametrize(
    ("case", "name", "message"),
    [
        ("nobody", "InvalidParameterException", "Request has invalid parameters"),
        ("text", "InvalidImageFormatException", "Request has invalid image format"),
        (
            "missing",
            "InvalidS3ObjectException",
            "Unable to get object metadata from S3. Check object key, region and/or access permissions.",
        ),
        ("large", "ImageTooLargeException", "Image size is too large"),
        (
            "denied",
            "AccessDeniedException",
            "User: arn:aws:iam::111122223333:user/denied is not authorized to perform: rekognition:CompareFaces "
            "with an explicit deny in an identity-based policy",
        ),
    ],
)
def test_modelled_errors_are_the_sdks_own_exceptions(case: str, name: str, message: str, found: dict[str, Any]) -> None:
    error = found[case]
    assert (error["name"], error["message"], error["status"]) == (name, message, 400)
    assert error["own"]
    assert error["base"]


@pytest.mark.parametrize(
    ("case", "name", "message"),
    [
        (
            "empty",
            "ValidationException",
            "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=0 cap=0]' at 'sourceImage.bytes' "
            "failed to satisfy constraint: Member must have length greater than or equal to 1",
        ),
        (
            "threshold",
            "ValidationException",
            "1 validation error detected: Value '100.5' at 'similarityThreshold' failed to satisfy constraint: "
            "Member must have value less than or equal to 100",
        ),
        ("revoked", "UnrecognizedClientException", "The security token included in the request is invalid."),
    ],
)
def test_other_errors_are_the_services_base_exception(
    case: str, name: str, message: str, found: dict[str, Any]
) -> None:
    error = found[case]
    assert (error["name"], error["message"], error["status"], error["base"]) == (name, message, 400, True)
