"""Every query of the dashboard and of the alert rules is one that a running server answers."""

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.deploy.conftest import DEPLOY, REPOSITORY
from tests.listening import address_of, exit_code

#: What Prometheus itself adds to each series, and the variable of the dashboard.
ADDED_LABELS = {"job", "instance"}
#: What Grafana puts into a query, and an example of it.
VARIABLES = {"$__rate_interval": "5m", "$instance": ".*"}
#: The columns of a dashboard.
COLUMNS = 24


def dashboard() -> dict[str, Any]:
    return dict(json.loads((DEPLOY / "grafana.json").read_text("utf-8")))


def queries() -> list[str]:
    """Every expression of the dashboard and of the alert rules."""
    shown = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    listed = [each["query"] for each in dashboard()["templating"]["list"] if each["type"] == "query"]
    (group,) = yaml.safe_load((DEPLOY / "alerts.yml").read_text("utf-8"))["groups"]
    return [*shown, *listed, *(rule["expr"] for rule in group["rules"])]


def test_every_panel_has_its_place_and_what_it_shows() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["type"] == "timeseries"
        assert panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        place = {name: panel["gridPos"][name] for name in "xywh"}
        cells = {(place["x"] + column, place["y"] + row) for column in range(place["w"]) for row in range(place["h"])}
        assert cells, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells
        references = [target["refId"] for target in panel["targets"]]
        assert references, panel["title"]
        assert len(set(references)) == len(references), panel["title"]
    assert {column for column, _ in taken} == set(range(COLUMNS))


def test_the_brackets_of_every_query_are_balanced() -> None:
    """What can be said about syntax without Prometheus."""
    closed = {")": "(", "]": "[", "}": "{"}
    for query in queries():
        opened: list[str] = []
        for sign in re.sub(r'"[^"]*"', "", query):
            if sign in closed.values():
                opened.append(sign)
            elif sign in closed:
                assert opened, query
                assert opened.pop() == closed[sign], query
        assert not opened, query


def test_prometheus_reads_every_query_of_the_dashboard(tmp_path: Path) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed")
    shown = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    listed = [each["query"] for each in dashboard()["templating"]["list"] if each["type"] == "query"]
    # Grafana's own function: the series in it are Prometheus's.
    shown += [re.findall(r"^label_values\((.+), \w+\)$", each)[0] for each in listed]
    rules = []
    for number, query in enumerate(shown):
        for variable, example in VARIABLES.items():
            query = query.replace(variable, example)
        assert "$" not in query
        rules.append({"record": f"query_{number}", "expr": query})
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    checked = subprocess.run([program, "check", "rules", path], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout


@pytest.fixture(scope="module")
def exported(standard_pack: None, portraits: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The metrics of a server that has compared two photos and has refused a request."""
    log = tmp_path_factory.mktemp("server") / "stderr"
    with log.open("wb") as stream:
        command = [Path(sys.executable).parent / "likeness", "serve", "--port", "0", "--auth", "none"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stream)
    try:
        address = address_of(process, log)
        client = boto3.client(
            "rekognition",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
        )
        photo = {"Bytes": portraits["obama.jpg"].read_bytes()}
        client.compare_faces(SourceImage=photo, TargetImage=photo)
        with pytest.raises(client.exceptions.InvalidImageFormatException):
            client.compare_faces(SourceImage=photo, TargetImage={"Bytes": b"no photo"})
        with urllib.request.urlopen(f"{address}/metrics", timeout=60) as answer:
            return str(answer.read().decode())
    finally:
        process.terminate()
        assert exit_code(process, log) == 0


@pytest.mark.engine
def test_every_query_names_series_and_labels_that_the_server_exports(exported: str) -> None:
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(exported):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    for query in queries():
        named = re.findall(r"\b(likeness_\w+)(?:\{([^}]*)\})?", query)
        assert named or query.startswith("up{"), query
        assert {name for name, _ in named} <= labels.keys(), query
        known = set().union(*(labels[name] for name, _ in named)) | ADDED_LABELS
        selected = {each for _, inside in named for each in re.findall(r"(\w+)\s*(?:=|!)", inside)}
        grouped = {each for inside in re.findall(r"by \(([^)]*)\)", query) for each in inside.split(", ")}
        assert selected | grouped <= known, query


@pytest.mark.engine
def test_every_series_that_the_server_exports_is_in_a_query(exported: str) -> None:
    together = " ".join(queries())
    families = {each.name for each in text_string_to_metric_families(exported) if each.name.startswith("likeness_")}
    assert "likeness_decoders_lost" in families
    assert {name for name in families if not re.search(rf"\b{name}(_total|_bucket|_sum)?\b", together)} == set()


@pytest.mark.engine
def test_what_an_alert_counts_is_exported_before_it_happens(exported: str) -> None:
    """`increase` sees nothing in a series that begins at 1."""
    counted = {each for query in queries() for each in re.findall(r"increase\((\w+)(?:\{(\w+=\"\w+\")\})?", query)}
    assert ("likeness_requests_total", 'code="InternalServerError"') in counted
    for name, label in counted:
        assert re.search(rf"^{name}(\{{.*{label}.*\}})? 0\.0$", exported, flags=re.MULTILINE), (name, label)


def test_the_alerts_fire_in_trouble_and_only_then() -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed")
    for arguments in (["check", "rules", "deploy/alerts.yml"], ["test", "rules", "tests/deploy/alerts.test.yml"]):
        checked = subprocess.run([program, *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
        assert checked.returncode == 0, checked.stdout + checked.stderr
