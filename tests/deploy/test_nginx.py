"""The shipped nginx settings, with nginx itself: large signed requests pass, and the metrics do not."""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import pytest
from tests.deploy.conftest import DEPLOY, wait_until_it_listens
from tests.listening import START_SECONDS
from tests.server.conftest import free_port, make_certificate

from likeness.aws.keys import Record

pytestmark = pytest.mark.engine

MOST_INLINE_BYTES = 5_242_880


def test_signed_requests_pass_nginx_and_the_metrics_do_not(
    portraits: dict[str, Path], key: tuple[Path, Record], tmp_path: Path
) -> None:
    program = shutil.which("nginx")
    if program is None:
        pytest.skip("nginx is not installed")
    certificate, secret = make_certificate(tmp_path)
    listener, port, log = tmp_path / "likeness.sock", free_port(), tmp_path / "stderr"
    settings = (DEPLOY / "nginx.conf").read_text("utf-8")
    changed = {
        "server likeness:8080;": f"server unix:{listener};",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/etc/nginx/tls/cert.pem": str(certificate),
        "/etc/nginx/tls/key.pem": str(secret),
        "/run/nginx.pid": str(tmp_path / "nginx.pid"),
    }
    for old, new in changed.items():
        assert old in settings
        settings = settings.replace(old, new)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")  # folders that it makes at start
    paths = "".join(f"{kind}_temp_path {tmp_path / kind};\n" for kind in kinds)
    settings = settings.replace("http {\n", f"http {{\n{paths}", 1)
    if os.getuid() == 0:
        settings = f"user root;\n{settings}"
    (tmp_path / "nginx.conf").write_text(settings)
    command = [Path(sys.executable).parent / "likeness", "serve", "--unix-socket", listener, "--keys", key[0]]
    with log.open("wb") as stream:
        server = subprocess.Popen([*command, "--trusted-proxies", "*"], stdout=subprocess.DEVNULL, stderr=stream)
    wait_until_it_listens(server, log)
    started = [program, "-e", "stderr", "-p", tmp_path, "-c", tmp_path / "nginx.conf", "-g", "daemon off;"]
    proxy = subprocess.Popen(started)
    try:
        wait_until_it_answers(proxy, port)
        client = boto3.client(
            "rekognition",
            endpoint_url=f"https://localhost:{port}",
            region_name="us-east-1",
            aws_access_key_id=key[1].id,
            aws_secret_access_key=key[1].secret,
            verify=str(certificate),
        )
        largest = {"Bytes": portraits["obama.jpg"].read_bytes().ljust(MOST_INLINE_BYTES, b"\0")}
        for _ in range(2):
            answer = client.compare_faces(SourceImage=largest, TargetImage=largest)
            assert len(answer["FaceMatches"]) == 1
        context = ssl.create_default_context(cafile=str(certificate))
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"https://localhost:{port}/metrics", context=context, timeout=60)
    finally:
        proxy.terminate()
        server.terminate()
        assert server.wait(timeout=60) == 0
        proxy.wait(timeout=60)


def wait_until_it_answers(proxy: "subprocess.Popen[bytes]", port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert proxy.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
