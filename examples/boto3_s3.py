"""boto3 against `likeness serve` with photos in S3: only the endpoint differs from AWS.

    likeness serve --s3-endpoint-url http://minio:9000 &
    python examples/boto3_s3.py my-bucket portrait.jpg group.jpg --endpoint-url http://127.0.0.1:8080

The server reads the photos with its own credentials, found in the same places as boto3's. Requests are signed with the
credentials of your environment; `likeness keys create` creates them for the server. It needs `pip install boto3`.
"""

import argparse

import boto3
from botocore.exceptions import ClientError


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("bucket", "source", "target"):
        parser.add_argument(name)
    parser.add_argument("--endpoint-url", default="http://127.0.0.1:8080")
    options = parser.parse_args()
    rekognition = boto3.client("rekognition", endpoint_url=options.endpoint_url, region_name="us-east-1")
    try:
        answer = rekognition.compare_faces(
            SourceImage={"S3Object": {"Bucket": options.bucket, "Name": options.source}},
            TargetImage={"S3Object": {"Bucket": options.bucket, "Name": options.target}},
            SimilarityThreshold=90,
        )
    except ClientError as error:
        raise SystemExit(str(error)) from error
    for match in answer["FaceMatches"]:
        box = match["Face"]["BoundingBox"]
        print(f"{match['Similarity']:.1f} at left {box['Left']:.2f}, top {box['Top']:.2f}")
    print(f"{len(answer['UnmatchedFaces'])} other faces")


if __name__ == "__main__":
    main()
