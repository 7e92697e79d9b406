"""No canary where the server writes or shows something, whatever it is asked and however it fails."""

import os
import re
import signal
import socket
import ssl
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.server.conftest import make_certificate

from likeness.aws.keys import Record, create_key, create_session
from likeness.comparer import Comparer
from likeness.packs import store
from likeness.settings import ComparerSettings
from likeness.system.processors import thread_budget

from .conftest import Canaries, Client, Pictures, text_of, wait_for
from .crashes import crash_decoders, crash_workers
from .stand_in import stand_in
from .surroundings import decoders, files_below, processes, shared_memory, told_by_proc

pytestmark = pytest.mark.engine

LINUX = sys.platform.startswith("linux")

POLICY = {"Statement": [{"Effect": "Allow", "Action": ["rekognition:CompareFaces", "s3:GetObject*"], "Resource": "*"}]}
#: Buckets of an S3, and of a folder.
BUCKET, FOLDER = "bucket", "folder"


@dataclass
class Trial:
    """A running server with what is searched for, and its answers by the name of the request.

    `began`: when it was started (`time.time_ns()`).
    """

    mode: "Mode"
    began: int
    canaries: Canaries
    folder: Path
    pid: int
    client: Client
    answers: dict[str, tuple[int, bytes]]

    @property
    def search(self) -> Any:
        return self.canaries.search


def inline(photo: bytes) -> dict[str, str]:
    return {"Bytes": b64encode(photo).decode()}


def pair(source: Any, target: Any, **members: Any) -> dict[str, Any]:
    images = [inline(each) if isinstance(each, bytes) else each for each in (source, target)]
    return {"SourceImage": images[0], "TargetImage": images[1]} | members


def in_s3(name: str, **members: str) -> dict[str, Any]:
    return {"S3Object": {"Bucket": BUCKET, "Name": name} | members}


def photos_of(canaries: Canaries, pictures: Pictures) -> dict[str, bytes]:
    made = {
        "source": canaries.photo("source", pictures.person),
        "target": canaries.photo("target", pictures.again, "PNG"),
        "bug": canaries.photo("bug", pictures.person, begins="please fail"),
        "shadow": canaries.photo("shadow", pictures.person, begins="shadow fails"),
        "nobody": canaries.photo("nobody", pictures.nobody, "PNG"),
        "small": canaries.photo("small", pictures.person.resize((40, 40))),
    }
    jpeg, png = made["source"], made["target"]
    cut = {"cut": jpeg[: len(jpeg) // 2], "no end": jpeg[:-200], "cut png": png[: len(png) // 2]}
    spoilt = {"spoilt png": png[:-100] + bytes(60) + png[-40:], "no photo": b"GIF89a" + jpeg[6:]}
    return made | cut | spoilt


Ask = Callable[..., None]


def ask_for_photos(ask: Ask, photos: dict[str, bytes]) -> None:
    for name, photo in photos.items():
        ask(f"photo {name}", pair(photo, photos["target"]))
        ask(f"target {name}", pair(photos["source"], photo, QualityFilter="AUTO", SimilarityThreshold=50))
    ask("photo encoded twice", pair(b64encode(photos["source"]), photos["target"]))


def ask_for_objects(ask: Ask, canaries: Canaries) -> None:
    ask("object", pair(in_s3("source"), in_s3("target")))
    for kind in ("denied", "broken", "moved", "garbage", "odd", "short", "none"):
        name = f"object {kind}"
        ask(name, pair(in_s3(f"{kind}-{canaries.value(name)}"), in_s3("target")))
    version = canaries.value("object version", 200)
    ask("object version", pair(in_s3("none", Version=version), in_s3("target")))
    address = canaries.value("object address", 400)
    ask("object address", pair(in_s3(f"https://b.s3/k?X-Amz-Signature={address}"), in_s3("target")))


def ask_for_files(ask: Ask, canaries: Canaries) -> None:
    """Objects of a bucket that is a folder."""
    ask("file", pair(in_s3("source", Bucket=FOLDER), in_s3("target", Bucket=FOLDER)))
    for name in ("text", "link", "below"):
        ask(f"file {name}", pair(in_s3(name, Bucket=FOLDER), in_s3("target", Bucket=FOLDER)))
    for name, path in (
        ("none", "{}"),
        ("outside", "../{}"),
        ("absolute", "/{}"),
        ("under", "source/{}"),
        ("zero", "{}\0"),
    ):
        value = canaries.value(f"file {name}")
        ask(f"file {name}", pair(in_s3(path.format(value), Bucket=FOLDER), in_s3("target", Bucket=FOLDER)))


def ask_in_plain(port: int, canaries: Canaries) -> None:
    """HTTP where TLS is expected."""
    request = (
        f"POST /{canaries.value('plain path')} HTTP/1.1\r\nAuthorization: {canaries.secret('plain header')}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(request.encode())
        while connection.recv(1000):
            pass


def ask_with_members(ask: Ask, canaries: Canaries, photos: dict[str, bytes]) -> None:
    good = pair(photos["source"], photos["target"])
    for member in ("SourceImage", "TargetImage", "SimilarityThreshold", "QualityFilter", "Unknown"):
        for kind, wrap in (("text", str), ("list", lambda v: [v]), ("object", lambda v: {v: v})):
            name = f"member {member} {kind}"
            ask(name, good | {member: wrap(canaries.value(name))})
    for image in ({"Bytes": 1}, {"Bytes": None}, {"S3Object": None}, {"Bytes": []}, {}):
        name = f"member image {image}"
        ask(name, good | {"SourceImage": image | {canaries.value(name): canaries.value(name)}})
    ask("member base64", good | {"SourceImage": {"Bytes": canaries.value("member base64", 151)}})
    ask("member not base64", good | {"SourceImage": {"Bytes": "ä!" + canaries.value("member not base64")}})
    for member in ("Bucket", "Name", "Version"):
        name = f"member {member}"
        ask(name, pair({"S3Object": {"Bucket": BUCKET, "Name": "x", member: "!" + canaries.value(name, 2000)}}, {}))
    for kind, body in (("not json", '{{"{}'), ("a text", '"{}"'), ("deep", '{{"{}":' + "[" * 5000), ("twice", "{}{}")):
        name = f"body {kind}"
        ask(name, body.replace("{}", canaries.value(name)).format().encode())
    ask("body not utf-8", b'{"SourceImage": "\xff' + canaries.value("body not utf-8").encode())


def ask_with_headers(ask: Ask, canaries: Canaries) -> None:
    for header in ("User-Agent", "X-Forwarded-For", "Cookie", "Origin", "Referer", "X-Amz-Target", "Content-Type"):
        name = f"header {header}"
        ask(name, b"{}", {header: canaries.value(name)})
    ask("header name", b"{}", {canaries.value("header name", 100).translate({43: "a", 47: "b", 61: "c"}): "x"})
    ask("header bearer", b"{}", {"Authorization": "Bearer " + canaries.value("header bearer")}, signed=False)
    for name in ("path", "query"):
        value = quote(canaries.value(name), safe="")
        ask(name, b"{}", path="/" + value if name == "path" else "/?password=" + value)


def ask_as_others(ask: Ask, canaries: Canaries, photos: dict[str, bytes]) -> None:
    good = pair(photos["source"], photos["target"])
    ask("unsigned", good, signed=False)
    ask("wrong secret", good, secret=canaries.secret("a wrong secret"))
    ask("unknown key", good, key_id="AKIA" + text_of("unknown", 16).upper().translate({43: "A", 47: "B"}))
    ask("wrong token", good, token=canaries.secret("a wrong token", 120))
    names = ("Credential=", "Credential=AKID/20260101/r/rekognition/", "Signature=", "SignedHeaders=")
    for number, begins in enumerate(names):
        name = f"authorization {number}"
        text = f"AWS4-HMAC-SHA256 {begins}{canaries.value(name)}, Signature={canaries.value(name + ' signature')}"
        ask(name, good, {"Authorization": text, "X-Amz-Date": "20260101T000000Z"}, signed=False)
        parameters = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-{begins}{quote(canaries.value(name + ' query'))}"
        token = quote(canaries.secret(f"query token {number}", 100), safe="")
        ask(f"query {number}", good, path=f"/?{parameters}&X-Amz-Security-Token={token}", signed=False)


@dataclass
class Given:
    """What all servers of this module have: canaries, photos, a key file, a session of its key, and an S3.

    And what the one with all of it has: a key of another pack, a certificate with its key, a folder with objects.
    """

    canaries: Canaries
    photos: dict[str, bytes]
    keys: Path
    session: Record
    s3_settings: str
    s3_secrets: Mapping[str, str]
    of_other_pack: Record
    other_pack: Path
    certificate: tuple[Path, Path]
    folder: Path

    def s3(self, *, isolated: bool) -> tuple[str, dict[str, str]]:
        """Settings, and variables: these have the secrets of a server that has other programs as its children."""
        if isolated:
            return self.s3_settings, {f"LIKENESS_S3_{name.upper()}": each for name, each in self.s3_secrets.items()}
        lines = [f'{name} = "{each}"' for name, each in self.s3_secrets.items()]
        return "\n".join([self.s3_settings, *lines]), {}

    @property
    def further_settings(self) -> str:
        return f"""
            [[s3.buckets]]
            pattern = "{FOLDER}"
            directory = "{self.folder}"
        """

    @property
    def first_settings(self) -> str:
        return f"""
        tls_certificate = "{self.certificate[0]}"
        tls_key = "{self.certificate[1]}"
        packs = ["{self.other_pack}"]
        shadow = "{self.other_pack}"
        uncalibrated = true
        """


def objects_in(folder: Path, canaries: Canaries, photos: dict[str, bytes]) -> Path:
    """A folder with photos, a text, a link out of it, and a folder."""
    (folder / "objects" / "below").mkdir(parents=True)
    for name in ("source", "target"):
        (folder / "objects" / name).write_bytes(photos[name])
    (folder / "objects" / "text").write_text(canaries.secret("text of a file", 500))
    (folder / "secret").write_text(canaries.secret("file outside"))
    (folder / "objects" / "link").symlink_to(folder / "secret")
    return folder / "objects"


@pytest.fixture(scope="module")
def given(
    pictures: Pictures, measured: Callable[..., None], own_pack: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Given]:
    canaries = Canaries()
    photos = photos_of(canaries, pictures)
    measured(canaries, photos["source"], photos["target"])
    with Comparer(str(own_pack), settings=ComparerSettings(uncalibrated=True)) as comparer:
        measured(canaries, photos["source"], photos["target"], comparer, " by the other pack")
    keys = tmp_path_factory.mktemp("keys") / "keys.json"
    record = create_key(keys, "caller", policy=POLICY)
    session = create_session(keys, record.id)
    of_pack = {"Condition": {"StringEquals": {"likeness:Pack": str(own_pack)}}}
    other = create_key(keys, "other", policy={"Statement": [POLICY["Statement"][0] | of_pack]})
    secrets = {"key": record.secret, "session": session.secret, "token": session.session_token, "other": other.secret}
    for name, secret in secrets.items():
        canaries.search.add_text(f"secret of the {name}", secret or "")
    certificate = make_certificate(tmp_path_factory.mktemp("tls"))
    canaries.search.add_bytes("TLS key", b64decode("".join(certificate[1].read_text().splitlines()[1:-1])))
    folder = objects_in(tmp_path_factory.mktemp("objects"), canaries, photos)
    signed_address = f"/{BUCKET}/source?X-Amz-Security-Token={canaries.secret('signed address', 100)}"
    with stand_in(photos, signed_address) as address:
        settings = f"""
            [s3]
            endpoint_url = "{address}"
            access_key_id = "AKIASTORE"
            attempts = 1
        """
        secrets = {
            "secret_access_key": canaries.secret("secret of the store"),
            "session_token": canaries.secret("token of the store", 200),
        }
        yield Given(canaries, photos, keys, session, settings, secrets, other, own_pack, certificate, folder)


@dataclass(frozen=True)
class Mode:
    """How a server runs.

    `has_all`: with TLS, a folder as a bucket, another pack for another key, and that pack in the shadow too.
    """

    workers: int
    isolated: bool = False
    debug: bool = False
    has_all: bool = False


MODES = {
    "1 worker": Mode(1, debug=True),
    "1 worker isolated, with TLS, a folder and two packs": Mode(1, isolated=True, has_all=True),
    "2 workers": Mode(2),
    "2 workers isolated": Mode(2, isolated=True),
}


@pytest.fixture(scope="module", params=MODES)
def trial(
    request: Any, given: Given, start_server: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Trial]:
    """The server, when all has been asked."""
    mode = MODES[request.param]
    if mode.workers > thread_budget():
        pytest.skip("two workers need two processors")
    folder = tmp_path_factory.mktemp("canaries")
    s3_settings, variables = given.s3(isolated=mode.isolated)
    settings = f"""
        port = 0
        auth = "sigv4"
        keys = "{given.keys}"
        workers = {mode.workers}
        isolate_decoding = {str(mode.isolated).lower()}
        verbose_errors = true
        access_log = "{folder / "access.jsonl"}"
        audit_log = "{folder / "audit.jsonl"}"
        {given.first_settings if mode.has_all else ""}
        {s3_settings}
        {given.further_settings if mode.has_all else ""}
    """
    context = ssl.create_default_context(cafile=str(given.certificate[0])) if mode.has_all else None
    if context is not None:
        context.check_hostname = False  # the certificate is localhost's
    variables["PYTHONFAULTHANDLER"] = "1"
    began = time.time_ns()
    with start_server(folder, settings, debug=mode.debug, context=context, variables=variables) as (process, port):
        session = given.session
        client = Client(port, session.id, session.secret, session.session_token, context)
        made = Trial(mode, began, given.canaries, folder, process.pid, client, {})

        def ask(name: str, *what: Any, **options: Any) -> None:
            made.answers[name] = client.send(*what, **options)

        ask_for_photos(ask, given.photos)
        ask_for_objects(ask, given.canaries)
        ask_with_members(ask, given.canaries, given.photos)
        ask_with_headers(ask, given.canaries)
        ask_as_others(ask, given.canaries, given.photos)
        ask_for_pages(ask, made)
        if mode.has_all:
            ask_the_other_way(ask, given, made)
        crash(ask, given, made)
        yield made
    assert process.returncode == 0


def ask_for_pages(ask: Ask, trial: Trial) -> None:
    """With something to tell in the address."""
    for path in ("/{}", "/?a={}", "/console/{}", "/console/samples/{}", "/console/server.json?a={}", "/metrics?a={}"):
        name = f"page {path}"
        value = quote(trial.canaries.value(name), safe="")
        trial.answers[name] = trial.client.ask("GET", path.format(value), headers={"Referer": value, "Cookie": value})


def crash(ask: Ask, given: Given, trial: Trial) -> None:
    """Decoders crash, and workers of which there are several; Python's fault handler tells of them."""
    sent = pair(given.photos["source"], given.photos["target"])
    if trial.mode.isolated:
        crash_decoders(trial.pid, lambda: ask("after crashes of decoders", sent))
    elif trial.mode.workers > 1 and LINUX:
        crash_workers(trial.pid, trial.client, sent, trial.folder / "stderr")
        ask("after crashes of workers", sent)


def ask_the_other_way(ask: Ask, given: Given, trial: Trial) -> None:
    """What only the server with all of it can be asked; at last its TLS key is damaged."""
    ask_for_files(ask, given.canaries)
    other = given.of_other_pack
    for name in ("source", "bug", "nobody"):
        sent = pair(given.photos[name], given.photos["target"], SimilarityThreshold=0)
        ask(f"other pack {name}", sent, key_id=other.id, secret=other.secret, token=None)
    ask_in_plain(trial.client.port, given.canaries)
    key = given.certificate[1]
    key.write_text(key.read_text()[:1000])
    os.kill(trial.pid, signal.SIGHUP)
    wait_for(lambda: b"the previous file stays in use" in (trial.folder / "stderr").read_bytes())


def check_the_other_way(trial: Trial) -> None:
    """Objects in a folder, another key's pack, and one that fails in the shadow were reached."""
    answers = {name: status for name, (status, _) in trial.answers.items() if name.startswith(("file", "other"))}
    assert {name for name, status in answers.items() if status == 200} == {"file", "other pack source"}
    assert answers["other pack bug"] == 500
    assert trial.answers["photo shadow"][0] == 200
    told = (trial.folder / "stderr").read_text()
    assert re.search(r"the shadow pack .* failed", told)
    assert "decisions differ" in told


def test_all_was_asked(trial: Trial) -> None:
    """What must have been reached: an answer, each kind of error, an error of the engine, and of S3."""
    answers = {name: status for name, (status, _) in trial.answers.items()}
    assert [answers[f"photo {name}"] for name in ("source", "small", "nobody", "no photo")] == [200, *[400] * 3]
    assert answers["object"] == 200
    assert answers["photo bug"] == 500
    codes = {found for _, body in trial.answers.values() for found in re.findall(rb'"__type": ?"(\w+)"', body)}
    assert codes > {b"InvalidImageFormatException", b"InvalidS3ObjectException", b"InvalidParameterException"}
    assert codes > {b"SerializationException", b"ValidationException", b"InvalidSignatureException"}
    if trial.mode.has_all:
        check_the_other_way(trial)
    check_crashes(trial)


def check_crashes(trial: Trial) -> None:
    told = (trial.folder / "stderr").read_text()
    if trial.mode.isolated:
        assert told.count("a decoder was lost") >= 1
        assert trial.answers["after crashes of decoders"][0] == 200
    elif trial.mode.workers > 1 and LINUX:
        assert "Fatal Python error: Segmentation fault" in told
        assert "Fatal Python error: Aborted" in told
        assert trial.answers["after crashes of workers"][0] == 200


def test_no_answer_has_anything_of_another_request(trial: Trial) -> None:
    answered = ("similarity", "landmarks of the source", "landmarks of the target")
    for name, (status, answer) in trial.answers.items():
        by = " by the other pack" if name.startswith("other pack") else ""
        found = {each for each in trial.search.found(answer) if not each.startswith(name)}
        # Both packs have one detector.
        allowed = {f"{each}{one}" for each in answered for one in {by, " by the other pack" if "land" in each else by}}
        assert found <= (allowed if status == 200 else set()), name


def test_no_log_has_any(trial: Trial) -> None:
    def waiting() -> list[str]:
        page = trial.client.ask("GET", "/metrics")[1].decode()
        return [line for line in page.splitlines() if line.startswith("likeness_log_queue_length")]

    wait_for(lambda: bool(waiting()) and all(line.endswith(" 0.0") for line in waiting()))
    assert len((trial.folder / "audit.jsonl").read_text().splitlines()) >= len(trial.answers) // 2
    for name in ("stdout", "stderr", "access.jsonl", "audit.jsonl"):
        for line in (trial.folder / name).read_bytes().splitlines():
            assert trial.search.found(line) == set(), line


def test_no_page_has_any(trial: Trial) -> None:
    for page in ("/metrics", "/healthz", "/readyz", "/", "/console/server.json", "/console/samples/none"):
        for accept in ("*/*", "application/openmetrics-text; version=1.0.0"):
            assert trial.search.found(trial.client.ask("GET", page, headers={"Accept": accept})[1]) == set(), page


@pytest.mark.skipif(not LINUX, reason="/proc is Linux's")
def test_proc_has_none(trial: Trial) -> None:
    told = [each for pid in processes(trial.pid) for each in told_by_proc(pid)]
    assert any(name.endswith("cmdline") for name, _ in told)
    found = {name: found for name, content in told if (found := trial.search.found(content))}
    if trial.mode.isolated:  # whose own variables have secrets, and its decoders' have none
        given, apart = {"secret of the store", "token of the store"}, decoders(trial.pid)
        assert bool(apart)
        own = {f"{pid}/environ": given for pid in processes(trial.pid) if pid not in apart}
        if os.geteuid() == 0:  # others cannot read them
            assert sum(name in own for name in found) == trial.mode.workers + (trial.mode.workers > 1)
            assert {f"{pid}/environ" for pid in apart} <= {name for name, content in told if content}
        found = {name: each for name, each in found.items() if own.get(name) != each}
    assert found == {}


def test_no_file_has_any(trial: Trial) -> None:
    """Neither in what the server's folders hold, nor in files beside the packs; Python opens no other to write."""
    ours = {str(trial.folder / name) for name in ("access.jsonl", "audit.jsonl")}
    files = files_below(trial.folder)
    del files[str(trial.folder / "likeness.toml")]
    assert set(files) == ours | {str(trial.folder / name) for name in ("stdout", "stderr", "opened")}
    files |= shared_memory(trial.began)
    # Networks that ONNX Runtime has optimised are kept beside the packs, when they are first used.
    files |= files_below(store.home(), since=trial.began)
    assert {path: found for path, content in files.items() if (found := trial.search.found(content))} == {}
    assert set((trial.folder / "opened").read_text().splitlines()) <= ours | {os.devnull}
