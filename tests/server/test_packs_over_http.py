"""Several packs behind one address: unmodified boto3 clients with keys of their own, each gets its key's pack."""

import os
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.server.conftest import Running, Serve, wait_for

from likeness.aws.keys import Record, create_key

pytestmark = pytest.mark.engine

LIKENESS = Path(sys.executable).with_name("likeness")


def policy(*packs: str) -> dict[str, Any]:
    """A policy that allows these packs; without any, the condition is left out."""
    statement: dict[str, Any] = {"Effect": "Allow", "Action": "rekognition:CompareFaces", "Resource": "*"}
    if packs:
        statement["Condition"] = {"StringEquals": {"likeness:Pack": list(packs)}}
    return {"Statement": statement}


def client(server: Running, key: Record) -> Any:
    session = boto3.Session(key.id, key.secret, region_name="eu-central-1")
    once = Config(retries={"total_max_attempts": 1, "mode": "legacy"})
    return session.client("rekognition", endpoint_url=f"http://127.0.0.1:{server.port}", config=once)


def test_each_key_gets_its_pack_and_the_shadow_logs_counts_only(
    serve: Serve, own_pack: Path, portraits: dict[str, Path], tmp_path: Path
) -> None:
    file = tmp_path / "keys.json"
    usual = create_key(file, "usual", policy=policy())
    trial = create_key(file, "trial", policy=policy(str(own_pack)))
    other = create_key(file, "other", policy=policy("not held here"))
    inherited = {name: os.environ[name] for name in ("LIKENESS_HOME", "LIKENESS_OFFLINE") if name in os.environ}
    settings = {"PACKS": str(own_pack), "SHADOW": str(own_pack), "UNCALIBRATED": "true", "KEYS": str(file)}
    server = serve(
        env=inherited | {f"LIKENESS_{name}": value for name, value in settings.items()},
        prefix=(sys.executable, str(LIKENESS)),
        program=Path("serve"),
    )
    server.wait_ready()
    photos = [{"Bytes": portraits[name].read_bytes()} for name in ("obama.jpg", "obama2.jpg")]

    def compared(key: Record, threshold: float) -> tuple[list[Any], bool]:
        """The matches, and whether the answer is marked as uncalibrated."""
        answer = client(server, key).compare_faces(
            SourceImage=photos[0], TargetImage=photos[1], SimilarityThreshold=threshold
        )
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        return answer["FaceMatches"], headers.get("x-likeness-uncalibrated") == "true"

    [found], marked = compared(trial, 0)
    cosine = found["Similarity"]
    assert marked
    [match], marked = compared(usual, 99)
    assert not marked
    assert match["Similarity"] > 99 > cosine  # so that the shadow's decision differs
    with pytest.raises(ClientError) as refused:
        compared(other, 0)
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    compared_by = [line.get("pack") for line in server.log() if line["method"] == "POST"]
    assert compared_by == [str(own_pack), "standard", None]  # the last was refused
    # Only the request of the main pack has a shadow, and nothing of the two Similarities is logged.
    wait_for(lambda: "decisions differ" in server.errors)
    assert server.errors.count("decisions differ") == 1
    assert f"shadow {own_pack}: 1 of 1 decisions differ, 0 failed" in server.errors
    logged = server.errors + str(server.log())
    for similarity in (cosine, match["Similarity"]):
        assert f"{similarity:.3f}"[:-1] not in logged
