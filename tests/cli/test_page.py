"""Every option of the service's page, and the test that proves that it does its job.

An option without a test, a test that does not exist or does not use the option: each fails this run.
"""

import ast
import re
from pathlib import Path

import pytest

from likeness.cli.options import OPTIONS

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "shared" / "spec" / "aws-cli-compare-faces.txt"

#: The page's synopsis, in its order → the tests: file and function, or file and a case of `test_oracle`.
PROOFS: dict[str, list[tuple[str, str]]] = {
    "source-image": [("test_oracle", "shorthand"), ("test_oracle", "json"), ("test_oracle", "image from a file")],
    "target-image": [("test_oracle", "shorthand"), ("test_compare_faces", "test_objects_from_s3")],
    "similarity-threshold": [("test_oracle", "threshold"), ("test_oracle", "bad threshold")],
    "quality-filter": [("test_oracle", "quality filter"), ("test_oracle", "bad filter")],
    "source-image-bytes": [("test_oracle", "json of group"), ("test_oracle", "both on one image")],
    "target-image-bytes": [("test_oracle", "json of group")],
    "cli-input-json": [("test_oracle", "input document"), ("test_oracle", "option over input")],
    "cli-input-yaml": [("test_oracle", "yaml document"), ("test_oracle", "yaml numbers")],
    "generate-cli-skeleton": [
        ("test_oracle", "skeleton"),
        ("test_oracle", "skeleton of output"),
        ("test_oracle", "skeleton of yaml"),
    ],
    "debug": [("test_network", "test_debug_log_holds_no_photo")],
    "endpoint-url": [("test_network", "test_requests_are_signed"), ("test_network", "test_no_server")],
    "no-verify-ssl": [("test_network", "test_certificates_are_not_verified_on_request")],
    "no-paginate": [("test_oracle", "no paginate")],
    "output": [
        *(("test_oracle", f"{output} of group") for output in ("json", "text", "table", "yaml", "yaml-stream")),
        ("test_compare_faces", "test_output_off"),
    ],
    "query": [("test_oracle", "table of FaceMatches[].[Similarity]"), ("test_oracle", "bad query")],
    "profile": [("test_network", "test_region_and_profile"), ("test_oracle", "bad profile")],
    "region": [("test_network", "test_region_and_profile")],
    "version": [("test_compare_faces", "test_version")],
    "color": [("test_oracle", "colour"), ("test_oracle", "no colour"), ("test_pager", "test_colours_on_a_terminal")],
    "no-sign-request": [("test_network", "test_unsigned")],
    "ca-bundle": [("test_network", "test_certificates_are_checked")],
    "cli-read-timeout": [("test_network", "test_read_timeout")],
    "cli-connect-timeout": [("test_network", "test_connect_timeout")],
    "cli-binary-format": [("test_oracle", "raw bytes"), ("test_oracle", "base64 format")],
    "no-cli-pager": [("test_pager", "test_pages_nothing_where_not_wanted")],
    "cli-auto-prompt": [("test_prompt", "test_on_a_terminal"), ("test_prompt", "test_the_line_typed_is_run")],
    "no-cli-auto-prompt": [("test_oracle", "no prompt"), ("test_prompt", "test_modes")],
}
#: Our own, in the same style.
OWN_PROOFS: dict[str, list[tuple[str, str]]] = {
    "overlay": [("test_compare_faces", "test_the_real_engine")],
    "explain": [("test_compare_faces", "test_the_real_engine")],
    "pack": [("test_compare_faces", "test_pack")],
    "uncalibrated": [("test_own_packs", "test_the_command_marks_the_answer")],
    "device": [("test_own_packs", "test_the_command_refuses_a_missing_device")],
}


def test_options_are_those_of_the_page() -> None:
    ours = [option.name for option in OPTIONS if option.scope != "likeness"]
    assert ours == list(PROOFS)
    assert [option.name for option in OPTIONS if option.scope == "likeness"] == list(OWN_PROOFS)


@pytest.mark.skipif(not PAGE.exists(), reason=f"the page is not at {PAGE}")
def test_the_list_is_the_synopsis_of_the_page() -> None:
    synopsis = PAGE.read_text(encoding="utf-8").split("compare-faces\n[", 1)[1].split("]\n--source-image\n", 1)[0]
    assert re.findall(r"--([a-z-]+)", synopsis) == list(PROOFS)


@pytest.mark.parametrize("option", [*PROOFS, *OWN_PROOFS])
def test_every_option_has_a_test(option: str) -> None:
    proofs = {**PROOFS, **OWN_PROOFS}[option]
    assert proofs
    for file, name in proofs:
        source = proof_source(file, name)
        assert re.search(rf"--{option}(?![a-z-])", source), f"{file}: {name} does not use --{option}"


def proof_source(file: str, name: str) -> str:
    """The source of a test function with the constants that it names, or the words of a case of `test_oracle`."""
    text = (HERE / f"{file}.py").read_text(encoding="utf-8")
    if not name.startswith("test_"):
        return " ".join(case_words(name))
    tree = ast.parse(text)
    constants = {
        target.id: ast.get_source_segment(text, node) or ""
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            parts = [ast.get_source_segment(text, each) or "" for each in (*node.decorator_list, node)]
            used = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
            return "\n".join([*parts, *(constants[each] for each in sorted(used & set(constants)))])
    raise AssertionError(f"there is no {name} in {file}.py")


def case_words(name: str) -> tuple[str, ...]:
    """The command line of a case of `test_oracle`, whose table is run for this."""
    cases: dict[str, object] = {"__name__": "cases"}
    source = (HERE / "test_oracle.py").read_text(encoding="utf-8").split("\nOracle = ", 1)[0]
    exec(compile(source, "test_oracle.py", "exec", dont_inherit=True), cases)  # the table, without the tests
    found = [each for each in (*cases["ANSWERED"], *cases["REFUSED"]) if each.name == name]  # type: ignore[misc]
    assert len(found) == 1, f"{len(found)} cases are called {name!r}"
    return found[0].arguments  # type: ignore[no-any-return]
