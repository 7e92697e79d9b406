"""The browser's signer, in Node: against the published suite and against botocore."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

Node = Callable[..., Any]
READ = 'const given = JSON.parse((await import("node:fs")).readFileSync(0));\n'
KEYS = {"id": "AKIDEXAMPLE", "secret": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
STAMP = "20150830T123600Z"
#: Its canonical request lists a header that its line of signed headers lacks; see tests/aws/test_published_suite.py.
MISPRINTED = "post-x-www-form-urlencoded"


def read_case(folder: Path) -> dict[str, Any]:
    def text(suffix: str) -> str:
        return (folder / f"{folder.name}.{suffix}").read_text("utf-8").replace("\r\n", "\n")

    head, _, body = text("req").partition("\n\n")
    first, *lines = head.split("\n")
    method, target = first.split(" ", 1)
    path, _, query = target.rsplit(" ", 1)[0].partition("?")
    headers: list[list[str]] = []
    for line in lines:
        if line.startswith(" "):
            headers.append([headers[-1][0], line])
        else:
            name, _, value = line.partition(":")
            headers.append([name, value])
    if any("form-urlencoded" in value for _, value in headers) and body:
        query, body = body, ""
    signed = text("authz").split("SignedHeaders=")[1].split(",")[0].split(";")
    kept = [pair for pair in headers if pair[0].lower() in signed]
    return {
        "name": folder.name,
        "request": {"method": method, "url": f"https://example.com{path}?{query}", "headers": kept, "body": body},
        "canonical": text("creq"),
        "toSign": text("sts"),
        "header": text("authz"),
    }


def test_the_published_suite(node: Node, data_dir: Path) -> None:
    folders = {path.parent for path in (data_dir / "sigv4").rglob("*.creq")}
    cases = [read_case(folder) for folder in sorted(folders) if folder.name != MISPRINTED]
    assert len(cases) == 30
    script = (
        READ
        + """
import { authorization, importKeys } from "console/signing.js";
const keys = await importKeys(given.keys);
const found = [];
for (const { request } of given.cases) {
  const body = new TextEncoder().encode(request.body);
  const scope = { stamp: given.stamp, region: "us-east-1", service: "service" };
  found.push(await authorization({ ...request, ...scope, body, keys }));
}
console.log(JSON.stringify(found));
"""
    )
    found = node(script, {"keys": KEYS, "cases": cases, "stamp": STAMP})
    for case, ours in zip(cases, found, strict=True):
        for part in ("canonical", "toSign", "header"):
            assert ours[part] == case[part], case["name"]


@pytest.mark.parametrize("token", [None, "session/token=="])
@pytest.mark.parametrize("place", ["http://127.0.0.1:8080/", "https://faces.example/a.b~c/faces", "http://localhost/"])
def test_the_same_signature_as_botocore(node: Node, place: str, token: str | None) -> None:
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "RekognitionService.CompareFaces"}
    body = '{"SourceImage":{"Bytes":"ä"}}'
    script = (
        READ
        + """
import { importKeys, signedHeaders } from "console/signing.js";
const keys = await importKeys(given.keys);
const body = new TextEncoder().encode(given.body);
console.log(JSON.stringify(await signedHeaders({ ...given, keys, body, region: "eu-central-1" })));
"""
    )
    ours = node(script, {"keys": {**KEYS, "token": token}, "url": place, "headers": headers, "body": body})
    request = AWSRequest("POST", place, dict(headers), body.encode())
    request.context["timestamp"] = ours["X-Amz-Date"]
    credentials = Credentials(KEYS["id"], KEYS["secret"], token)
    signer = SigV4Auth(credentials, "rekognition", "eu-central-1")
    request.headers["X-Amz-Date"] = ours["X-Amz-Date"]
    if token:
        request.headers["X-Amz-Security-Token"] = token
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    assert ours["Authorization"].endswith(f"Signature={signature}")
    assert "SignedHeaders=content-type;host;" in ours["Authorization"]
    assert ours.get("X-Amz-Security-Token") == token
