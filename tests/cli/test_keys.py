"""`likeness keys` on the command line."""

import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from likeness.aws.keys import load_keys
from likeness.cli.keys import main


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIKENESS_KEYS", str(tmp_path / "keys.json"))
    return tmp_path / "keys.json"


def credentials(text: str) -> dict[str, str]:
    return dict(line.split(" = ", 1) for line in text.splitlines())


def test_create_prints_the_secret_once(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["create", "--name", "kiosk", "--account", "111122223333"]) == 0
    printed = capsys.readouterr()
    made = credentials(printed.out)
    assert set(made) == {"aws_access_key_id", "aws_secret_access_key"}
    assert load_keys(path)[made["aws_access_key_id"]].secret == made["aws_secret_access_key"]
    assert "once" in printed.err
    assert "s3:GetObject" in printed.err
    for command in (["list"], ["list", "--json"]):
        assert main(command) == 0
        shown = capsys.readouterr()
        assert made["aws_access_key_id"] in shown.out
        assert made["aws_secret_access_key"] not in shown.out + shown.err


@pytest.mark.parametrize(("text", "days"), [("30d", 30), ("2099-01-01", None), ("2099-01-01T00:00:00+01:00", None)])
def test_a_key_that_ends(path: Path, text: str, days: int | None) -> None:
    assert main(["create", "--name", "kiosk", "--expires", text]) == 0
    (key,) = load_keys(path).values()
    assert key.expires is not None
    if days:
        assert abs(key.expires - datetime.now(UTC) - timedelta(days=days)) < timedelta(minutes=1)
    else:
        assert abs(key.expires - datetime(2099, 1, 1, tzinfo=UTC)) <= timedelta(hours=1)


def test_session_and_revoke(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["create", "--name", "kiosk"])
    key_id = credentials(capsys.readouterr().out)["aws_access_key_id"]
    assert main(["session", key_id, "--duration", "15m"]) == 0
    session = credentials(capsys.readouterr().out)
    assert load_keys(path)[session["aws_access_key_id"]].session_token == session["aws_session_token"]
    assert main(["list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["state"], row["parent"]) for row in rows] == [("in force", ""), ("in force", key_id)]
    assert main(["revoke", key_id]) == 0
    assert "revoked" in capsys.readouterr().err
    assert main(["list"]) == 0
    assert capsys.readouterr().out.count("revoked") == 2
    assert main(["revoke", key_id, "--delete"]) == 0
    assert main(["list"]) == 0
    assert capsys.readouterr().out == ""


def test_an_expired_session_is_shown_as_such(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["create", "--name", "kiosk"])
    key_id = credentials(capsys.readouterr().out)["aws_access_key_id"]
    main(["session", key_id, "--duration", "1h"])
    path.write_text(re.sub(r'"expires": "[^"]*"', '"expires": "2020-01-01T00:00:00Z"', path.read_text()))
    capsys.readouterr()
    assert main(["list"]) == 0
    assert "expired" in capsys.readouterr().out


def test_a_policy_is_read_from_a_file_or_standard_input(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(policy))
    assert main(["create", "--name", "a", "--policy", str(file)]) == 0
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(policy)))
    assert main(["create", "--name", "b", "--policy", "-"]) == 0
    assert "s3:GetObject" not in capsys.readouterr().err


def test_a_terminal_is_told_what_is_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

        def read(self, size: int | None = -1) -> str:
            assert "type or paste the policy as JSON, then press Ctrl-D" in capsys.readouterr().err
            return "\ufeff" + super().read(size)

    monkeypatch.setattr("sys.stdin", Terminal('{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}'))
    assert main(["create", "--name", "a", "--policy", "-"]) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "names"),
    [
        ([], 252, "required"),
        (["create"], 252, "--name"),
        (["create", "--name", "x", "--expires", "soon"], 252, "soon"),
        (["create", "--name", "x", "--expires", "2001-01-01"], 252, "is in the past"),
        (["create", "--name", "x", "--expires", "9999-12-31T23:59:59-14:00"], 252, "after 9999 in UTC"),
        (["create", "--name", "x", "--expires", "0001-01-01T00:00:00+14:00"], 252, "before year 1"),
        (["create", "--name", "x", "--expires", "99999999d"], 252, "after 9999 in UTC"),
        (["create", "--name", "x y"], 255, "not a user name"),
        (["create", "--name", "x", "--policy", "missing.json"], 255, "missing.json"),
        (["create", "--name", "x", "--policy", "/dev/zero"], 255, "more than 1,048,576 characters"),
        (["session", "AKIAX"], 255, "there is no key"),
        (["session", "AKIAX", "--duration", "3 days"], 252, "3 days"),
        (["revoke", "AKIAX"], 255, "there is no key"),
        (["list"], 255, "likeness keys create"),
        (["list", "--keys", "/dev/null/x"], 255, "/dev/null/x"),
        (["create", "--name", "x", "--keys", "/dev/null/x"], 255, "/dev/null"),
    ],
)
def test_mistakes(path: Path, arguments: list[str], code: int, names: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == code
    printed = capsys.readouterr()
    assert names in printed.err
    assert "Traceback" not in printed.err


def test_a_policy_that_is_wrong(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "policy.json"
    for text, names in (
        ("{", "not JSON"),
        ("[]", "JSON object"),
        ('{"Statement":{"Effect":"No"}}', "Effect"),
        ('{"Statement":{"Effect":"Allow","Action":"\\ud800","Resource":"*"}}', "surrogate"),
        ('{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Sid":NaN}}', "not JSON"),
        ('{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Sid":1e999}}', "out of range"),
    ):
        file.write_text(text)
        assert main(["create", "--name", "x", "--policy", str(file)]) == 255
        assert names in capsys.readouterr().err
    assert not path.exists()


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "session" in capsys.readouterr().out


def test_years_have_four_digits(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["create", "--name", "kiosk"]) == 0
    path.write_text(re.sub(r'"created": "[^"]*"', '"created": "0099-01-01T00:30:00+01:00"', path.read_text()))
    capsys.readouterr()
    assert main(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["created"] == "0098-12-31T23:30Z"
