"""`--generate-cli-skeleton`: templates and a sample answer from botocore's model of the operation."""

import json
from typing import Any, TextIO

OPERATION = "CompareFaces"


def print_json_skeleton(stream: TextIO) -> None:
    """All parameters as JSON: null for bytes, the first value of an enumeration."""
    json.dump(_input_skeleton(), stream, indent=4)
    stream.write("\n")


def print_yaml_skeleton(stream: TextIO) -> None:
    """All parameters as YAML, each with the first sentence of its description."""
    stream.writelines(_yaml_lines(operation_model().input_shape, _input_skeleton(), indent=""))


def sample_answer() -> dict[str, Any]:
    """An answer with all members: names for strings, 0.0 for numbers."""
    from botocore.utils import ArgumentGenerator

    sample: dict[str, Any] = ArgumentGenerator(use_member_names=True).generate_skeleton(operation_model().output_shape)
    return sample


def check(parameters: dict[str, Any]) -> None:
    """Raises botocore's ParamValidationError for parameters that the operation does not take."""
    from botocore.exceptions import ParamValidationError
    from botocore.validate import ParamValidator

    report = ParamValidator().validate(parameters, operation_model().input_shape)
    if report.has_errors():
        raise ParamValidationError(report=report.generate_report())


def operation_model() -> Any:
    """botocore's OperationModel of CompareFaces."""
    from botocore.loaders import Loader, create_loader
    from botocore.model import ServiceModel

    loader: Loader = create_loader()
    return ServiceModel(loader.load_service_model("rekognition", "service-2"), "rekognition").operation_model(OPERATION)


def _input_skeleton() -> dict[str, Any]:
    from botocore.utils import ArgumentGenerator

    shape = operation_model().input_shape
    skeleton: dict[str, Any] = ArgumentGenerator().generate_skeleton(shape)
    for name, member in shape.members.items():
        # botocore picks one at random; this makes the output reproducible.
        if getattr(member, "enum", None):
            skeleton[name] = member.enum[0]
    return skeleton


def _yaml_lines(shape: Any, values: dict[str, Any], indent: str) -> list[str]:
    lines: list[str] = []
    for name, member in shape.members.items():
        # The original puts two spaces before the first comment of a mapping and one before the others.
        gap = "  " if not lines else " "
        comment = f"{gap}# {_overview(member, required=name in shape.required_members)}\n"
        if member.type_name == "structure":
            lines += [f"{indent}{name}:{comment}", *_yaml_lines(member, values[name], indent + "  ")]
        else:
            lines.append(f"{indent}{name}: {_yaml_scalar(values[name])}{comment}")
    return lines


def _yaml_scalar(value: Any) -> str:
    if value is None:
        return "!!binary ''"
    return str(value) or "''"


def _overview(shape: Any, *, required: bool) -> str:
    """The first sentence of a member's description, its valid values, and whether it is required."""
    import re

    plain = re.sub(r"<[^>]*>", "", shape.documentation)
    sentence = re.split(r"[.:]+", plain, maxsplit=1)[0]
    parts = ["[REQUIRED]"] if required else []
    parts.append(" ".join(f"{sentence}.".splitlines()) if sentence else "")
    if getattr(shape, "enum", None):
        parts.append(f"Valid values are: {', '.join(shape.enum)}.")
    return " ".join(parts)
