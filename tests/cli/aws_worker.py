"""Runs the real AWS CLI, or parts of it, many times without starting Python many times.

Started as `python aws_worker.py` by an interpreter that has `awscli`. Reads one JSON object a line from standard input
and answers with one: {"code": ..., "out": ..., "err": ...}.

    {"arguments": [...], "environment": {...}, "folder": "..."}   a whole run, in a forked child with streams of its own
    {"value": ..., "output": "table", "color": "off"}             what its formatter makes of a value
    {"shorthand": "..."}                                          what its parser makes of shorthand, as JSON
    {"yaml": "..."}                                               what it reads in a YAML document, as Python's repr
"""

import argparse
import contextlib
import importlib
import io
import json
import os
import sys
import tempfile

import awscli.clidriver
import awscli.formatter
import awscli.shorthand
import jmespath


def run(task: dict) -> dict:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            become(task, out.fileno(), err.fileno())
        _, status = os.waitpid(child, 0)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return {"code": os.waitstatus_to_exitcode(status), "out": texts[0], "err": texts[1]}


def become(task: dict, out: int, err: int) -> None:
    """Be the program: never returns."""
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        data_path = os.environ["AWS_DATA_PATH"]  # set by awscli when it was imported
        os.environ.clear()
        os.environ.update(task["environment"], AWS_DATA_PATH=data_path)
        os.chdir(task["folder"])
        sys.stdin = os.fdopen(0)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8") for number in (1, 2))
        sys.argv = ["aws", *task["arguments"]]
        code = awscli.clidriver.main()
        if task.get("modules"):
            sys.stderr.write("\n".join(sys.modules))
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code or 0)


def part(task: dict) -> dict:
    out = io.StringIO()
    try:
        if "shorthand" in task:
            out.write(json.dumps(awscli.shorthand.ShorthandParser().parse(task["shorthand"])))
        elif "yaml" in task:
            from ruamel.yaml import YAML

            out.write(repr(YAML(typ="safe", pure=True).load(task["yaml"])))
        else:
            options = argparse.Namespace(query=jmespath.compile("value"), color=task["color"])
            awscli.formatter.get_formatter(task["output"], options)("CompareFaces", {"value": task["value"]}, out)
    except Exception as error:  # noqa: BLE001  (whatever the original raises is its answer)
        return {"code": 255, "out": "", "err": str(error)}
    return {"code": 0, "out": out.getvalue(), "err": ""}


def load_ahead() -> None:
    """Imports here what a run imports, so that the runs that follow find it."""
    arguments = ["rekognition", "compare-faces", "--generate-cli-skeleton", "output", "--output", "yaml"]
    arguments += ["--source-image", "Bytes=aaaa", "--target-image", "Bytes=aaaa", "--region", "eu-west-1"]
    environment = {"HOME": os.devnull, "PATH": os.environ["PATH"]}
    done = run({"arguments": arguments, "environment": environment, "folder": "/", "modules": True})
    for name in done["err"].split():
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


load_ahead()
for line in sys.stdin:
    task = json.loads(line)
    sys.stdout.write(json.dumps(run(task) if "arguments" in task else part(task)) + "\n")
    sys.stdout.flush()
