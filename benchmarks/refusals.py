"""How long the server takes to refuse an unknown key and a wrong signature: what a caller without a key could measure.

    python benchmarks/refusals.py [--pairs 60]

Requests of 1 KB, 1 MB and the largest body alternate over one connection, in random order within each pair; of 1 KB,
which take half a millisecond, there are 20 times as many pairs. Prints the medians, the median of the differences
within pairs, and Wilcoxon's signed-rank test of the pairs: a small p says that the two can be distinguished.
`tests/aws/test_signature.py` counts the work instead, which holds on a busy machine.
"""

import argparse
import http.client
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from scipy.stats import wilcoxon

from likeness.aws.keys import create_key
from likeness.server.settings import Settings

STUB = Path(__file__).resolve().parents[1] / "tests" / "server" / "stub_server.py"
HEADERS = {"X-Amz-Target": "RekognitionService.CompareFaces", "Content-Type": "application/x-amz-json-1.1"}
_SEED = 7
_SMALL, _SMALL_PAIRS = 1_000, 20


@contextmanager
def server(keys: Path) -> Iterator[int]:
    """A server that checks signatures, and its port."""
    command = [sys.executable, str(STUB), "--port", "0", "--auth", "sigv4", "--keys", str(keys)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if found := re.search(r"listens on http://[^:]+:(\d+)", line):
                    yield int(found[1])
                    return
            raise SystemExit("the server ended")
        finally:
            process.terminate()


class Refused:
    """One connection, whose requests claim a key and have a wrong signature."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._url = f"http://127.0.0.1:{port}/"

    def seconds(self, key_id: str, body: bytes, code: str) -> float:
        """How long the answer takes, which must have this code."""
        request = AWSRequest("POST", self._url, HEADERS, body)
        SigV4Auth(Credentials(key_id, "wrong"), "rekognition", "us-east-1").add_auth(request)
        begun = time.perf_counter()
        self._connection.request("POST", "/", body, dict(request.headers))
        answer = json.loads(self._connection.getresponse().read())
        taken = time.perf_counter() - begun
        if answer["__type"] != code:
            raise SystemExit(f"answered {answer} in place of {code}")
        return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=60)
    pairs: int = parser.parse_args().pairs
    order = random.Random(_SEED)
    print(f"{'body':>12}  {'unknown key':>12}  {'wrong signature':>16}  {'difference':>11}  {'p':>6}")
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder) / "keys.json"
        known = create_key(keys, "known").id
        kinds = {"AKIA" + "7" * 16: "UnrecognizedClientException", known: "InvalidSignatureException"}
        with server(keys) as port:
            client = Refused(port)
            for size in (_SMALL, 1_000_000, Settings().body_limit_bytes):
                body = b'{"SourceImage":{"Bytes":"%s"}}' % (b"A" * (size - 30))
                taken: dict[str, list[float]] = {key: [] for key in kinds}
                for _ in range(3 + pairs * (_SMALL_PAIRS if size == _SMALL else 1)):
                    for key in order.sample(list(kinds), 2):
                        taken[key].append(1000 * client.seconds(key, body, kinds[key]))
                _print(size, *(each[3:] for each in taken.values()))


def _print(size: int, unknown: list[float], wrong: list[float]) -> None:
    differences = [one - other for one, other in zip(unknown, wrong, strict=True)]
    p = wilcoxon(differences).pvalue
    print(
        f"{size:>12,}  {statistics.median(unknown):>9.3f} ms  {statistics.median(wrong):>13.3f} ms  "
        f"{statistics.median(differences):>+8.3f} ms  {p:>6.3f}"
    )


if __name__ == "__main__":
    main()
