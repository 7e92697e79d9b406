"""`likeness packs new` finds what a graph does not say, and `packs check` explains what is wrong."""

import hashlib
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.authoring import shaped

from likeness import packs
from likeness.authoring.check import PackCheck
from likeness.authoring.networks import Graph, read_detector, read_embedder
from likeness.authoring.new_pack import Networks, NewPack, make_pack
from likeness.authoring.portraits import Portrait, located, portraits_of, sample_portraits
from likeness.authoring.trials import try_detector, try_embedder
from likeness.cli.main import main
from likeness.comparer import Comparer, ComparerSettings
from likeness.errors import PackDamaged, PackInvalid
from likeness.packs.manifest import MANIFEST_NAME, read_manifest

pytestmark = pytest.mark.engine


@dataclass(frozen=True)
class Parts:
    """The files of the standard pack that the shaped networks wrap, and the sample portraits."""

    yunet: Path
    embedder: Path
    portraits: list[Portrait]

    @property
    def few(self) -> list[Portrait]:
        """Four portraits, which suffice where what the trials find is no matter."""
        return self.portraits[:3] + self.portraits[5:]


@pytest.fixture(scope="module")
def parts(standard_pack: None) -> Parts:
    folder = packs.load("standard").manifest.folder
    assert folder is not None
    return Parts(folder / "yunet.onnx", folder / "mobilefacenet.onnx", sample_portraits())


@pytest.fixture(scope="module")
def own(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> NewPack:
    """A pack of an SCRFD-shaped and an ArcFace-shaped network."""
    work = tmp_path_factory.mktemp("own")
    networks = Networks(
        shaped.scrfd(parts.yunet, work / "det.onnx"),
        shaped.embedder(parts.embedder, work / "arc.onnx", colour="rgb", mean=127.5, scale=127.5),
        "test licence",
    )
    return make_pack(work / "pack", networks, parts.portraits)


def test_scrfd_and_arcface_are_fed_as_they_were_trained(own: NewPack) -> None:
    assert own.detector.role.family == "scrfd"
    assert dict(own.detector.role.parameters) == {"side_px": 0}  # as published: RGB less 127.5 over 128
    found = own.embedder.parameters
    assert (found["colour"], found["mean"], found["scale"]) == ("rgb", [127.5, 127.5, 127.5], 127.5)
    assert found["lengths"] == "certainty"
    assert found["template"][0] == pytest.approx([38.295, 51.696])  # ArcFace's
    assert own.faces == own.portraits == 6
    rivals = [
        tried.figure for tried in own.embedder.tried if "-1 to 1" not in tried.choice and "128" not in tried.choice
    ]
    assert own.embedder.tried[0].figure > 1.1 * max(rivals)


def test_the_pack_compares_and_says_that_it_is_not_calibrated(own: NewPack) -> None:
    manifest = read_manifest(own.folder)
    assert manifest.calibration is None
    assert manifest.files["embedder.onnx"].licence == "test licence"
    samples = packs.samples()
    with Comparer(own.folder) as comparer:
        faces = [comparer.prepare(samples[name]).vector for name in ("obama.jpg", "obama2.jpg", "biden.jpg")]
    with Comparer() as standard:
        # The standard pack aligns by its mesh, this one by five points: near, not equal.
        known = [standard.prepare(samples[name]).vector for name in ("obama.jpg", "obama2.jpg", "biden.jpg")]
    for vector, other in zip(faces, known, strict=True):
        assert _cosine(vector, other) > 0.8
    assert _cosine(faces[0], faces[1]) > 0.6 > 0.3 > _cosine(faces[0], faces[2])


def test_centerface_and_sface_are_fed_as_they_were_trained(parts: Parts, tmp_path: Path) -> None:
    networks = Networks(
        shaped.centerface(parts.yunet, tmp_path / "det.onnx"),
        # One picture a run, as published.
        shaped.embedder(parts.embedder, tmp_path / "sface.onnx", colour="rgb", mean=0.0, scale=1.0, pictures=1),
    )
    made = make_pack(tmp_path / "pack", networks, parts.portraits)
    assert made.detector.role.family == "centerface"
    assert dict(made.detector.role.parameters) == {"side_px": 320}
    found = made.embedder.parameters
    assert (found["colour"], found["mean"], found["scale"]) == ("rgb", [0.0, 0.0, 0.0], 1.0)
    with Comparer(made.folder) as comparer:
        photo = comparer.analyse(packs.samples()["obama.jpg"])
    assert photo.vectors.shape == (1, 192)


def test_channels_in_the_other_order_are_found(parts: Parts, tmp_path: Path) -> None:
    adaface = shaped.embedder(parts.embedder, tmp_path / "ada.onnx", colour="bgr", mean=127.5, scale=127.5)
    made = make_pack(tmp_path / "pack", Networks(parts.yunet, adaface), parts.portraits)
    assert made.detector.role.family == "yunet"
    assert made.embedder.parameters["colour"] == "bgr"
    assert made.embedder.parameters["mean"] == [127.5, 127.5, 127.5]
    assert PackCheck(made.folder, parts.portraits).faults() == []


def test_a_mean_without_a_scale_is_found_and_a_known_template_kept(parts: Parts, tmp_path: Path) -> None:
    caffe = shaped.embedder(parts.embedder, tmp_path / "caffe.onnx", colour="bgr", mean=127.5, scale=1.0)
    detector = try_detector(read_detector(parts.yunet, tmp_path), "yunet", "", parts.portraits[:1]).detector
    few = [portrait for portrait in parts.portraits if portrait.name in ("obama.jpg", "obama2.jpg", "biden.jpg")]
    found = try_embedder(read_embedder(caffe), located(detector, few), "arcface")
    assert (found.parameters["colour"], found.parameters["scale"]) == ("bgr", 1.0)
    assert min(found.parameters["mean"]) > 90  # which of the means is a matter of more photos
    assert all(each.choice.endswith("template arcface") for each in found.tried)  # as it is known


@pytest.mark.data
def test_the_published_yunet_and_intels_embedder_are_fed_as_published(
    parts: Parts, tmp_path: Path, data_dir: Path
) -> None:
    models = data_dir.parent / "models"
    networks = Networks(models / "face_detection_yunet_2023mar.onnx", models / "face-reidentification-retail-0095.onnx")
    made = make_pack(tmp_path / "pack", networks, parts.portraits)
    assert (made.detector.role.family, dict(made.detector.role.parameters)) == ("yunet", {"side_px": 640})
    found = made.embedder.parameters
    assert (found["colour"], found["mean"], found["scale"], found["size_px"]) == ("bgr", [0.0, 0.0, 0.0], 1.0, 128)
    np.testing.assert_allclose(np.array(found["template"])[0] / 128, [0.3156, 0.4616], atol=1e-4)


def test_a_detector_exported_for_tiny_pictures_is_opened_for_any_size(parts: Parts, tmp_path: Path) -> None:
    model = onnx.load(str(shaped.scrfd(parts.yunet, tmp_path / "det.onnx")))
    for place, side in ((0, 10), (2, 32), (3, 32)):
        model.graph.input[0].type.tensor_type.shape.dim[place].dim_value = side
    onnx.save(model, str(tmp_path / "fixed.onnx"))
    graph = read_detector(tmp_path / "fixed.onnx", tmp_path / "work")
    assert graph.side_px == 0
    assert graph.outputs[0] == (2 * 40 * 40, 1)


@pytest.mark.parametrize(
    ("detector", "embedder", "message"),
    [
        ("missing.onnx", "arc.onnx", "missing.onnx is not a file"),
        ("text.onnx", "arc.onnx", "text.onnx is not a network that ONNX Runtime can run: "),
        ("arc.onnx", "arc.onnx", "these are not the outputs of YuNet"),
        ("det.onnx", "det.onnx", "det.onnx is a detector of the family scrfd"),
        ("det.onnx", "yunet.onnx", "yunet.onnx is a detector of the family yunet"),
        ("det.onnx", "noise.onnx", "does not distinguish people with any choice tried"),
        ("det.onnx", "nan.onnx", "nan.onnx gives vectors that are NaN"),
        ("det.onnx", "constant.onnx", "constant.onnx gives the same vector for every face"),
        ("mirrored.onnx", "arc.onnx", "mirrored.onnx, read as scrfd, gives mirrored points"),
        ("odd.onnx", "arc.onnx", "odd.onnx takes pictures of 300x300; export it for a multiple of 32"),
    ],
)
def test_networks_that_make_no_pack_are_refused_in_words_and_leave_nothing(
    own: NewPack, tmp_path: Path, detector: str, embedder: str, message: str, parts: Parts
) -> None:
    work = own.folder.parent
    (work / "text.onnx").write_text("no network")
    for kind in ("noise", "nan", "constant"):
        shaped.simple_embedder(work / f"{kind}.onnx", kind)
    shutil.copy(parts.yunet, work / "yunet.onnx")
    shaped.scrfd(parts.yunet, work / "mirrored.onnx", mirrored=True)
    shaped.simple_embedder(work / "odd.onnx", "noise", side_px=300)
    with pytest.raises(PackInvalid, match=message):
        make_pack(tmp_path / "pack", Networks(work / detector, work / embedder), parts.few)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_not_overwritten(own: NewPack, parts: Parts) -> None:
    with pytest.raises(PackInvalid, match="exists; name a new folder"):
        make_pack(own.folder, Networks(parts.yunet, parts.embedder), parts.portraits)


def test_an_embedder_of_oblong_chips_is_refused(parts: Parts, tmp_path: Path) -> None:
    model = onnx.load(str(shaped.embedder(parts.embedder, tmp_path / "e.onnx", colour="rgb", mean=0.0, scale=1.0)))
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 96
    del model.graph.value_info[:]
    onnx.save(model, str(tmp_path / "e.onnx"))
    with pytest.raises(PackInvalid, match="square chips"):
        read_embedder(tmp_path / "e.onnx")


Breaking = Callable[[Path, Parts], None]


def _rewritten(folder: Path, old: str, new: str) -> None:
    path = folder / MANIFEST_NAME
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def _replaced(folder: Path, name: str, made: Path) -> None:
    """Another network in the place of `name`, with its hash in the manifest."""
    before = read_manifest(folder).files[name]
    _rewritten(folder, before.sha256, hashlib.sha256(made.read_bytes()).hexdigest())
    _rewritten(folder, f"size = {before.size}", f"size = {made.stat().st_size}")
    shutil.copyfile(made, folder / name)


def _edited(old: str, new: str) -> Breaking:
    return lambda folder, parts: _rewritten(folder, old, new)


def _of_side_640(side_px: int) -> Breaking:
    """A detector of pictures of 640x640, and a manifest that says `side_px`."""

    def break_it(folder: Path, parts: Parts) -> None:
        _replaced(folder, "detector.onnx", shaped.of_side(folder / "detector.onnx", folder / "o.onnx", 640))
        _rewritten(folder, "side_px = 0", f"side_px = {side_px}")

    return break_it


def _copied(name: str, over: str) -> Breaking:
    return lambda folder, parts: _replaced(folder, over, folder / name)


def _text_as_the_detector(folder: Path, parts: Parts) -> None:
    (folder / "o.onnx").write_text("no network")
    _replaced(folder, "detector.onnx", folder / "o.onnx")


def _nine_other_outputs(folder: Path, parts: Parts) -> None:
    """As many outputs as SCRFD, of other shapes."""
    model = onnx.load(str(folder / "detector.onnx"))
    del model.graph.output[1:]
    for _ in range(8):
        model.graph.output.append(model.graph.output[0])
        copy = f"copy_{len(model.graph.output)}"
        model.graph.node.append(onnx.helper.make_node("Identity", [model.graph.output[0].name], [copy]))
        model.graph.output[-1].name = copy
    onnx.save(model, str(folder / "o.onnx"))
    _replaced(folder, "detector.onnx", folder / "o.onnx")


def _roles_exchanged(folder: Path, parts: Parts) -> None:
    _rewritten(folder, 'file = "detector.onnx"', 'file = "embedder.onnx" ')
    _rewritten(folder, 'file = "embedder.onnx"\n', 'file = "detector.onnx"\n')


def _embedder(kind: str) -> Breaking:
    return lambda folder, parts: _replaced(folder, "embedder.onnx", shaped.simple_embedder(folder / "o.onnx", kind))


@pytest.mark.parametrize(
    ("break_it", "fault"),
    [
        (lambda folder, parts: (folder / "embedder.onnx").write_bytes(b"?"), "has 1 bytes instead of"),
        (_text_as_the_detector, r"detector.onnx is not a network that ONNX Runtime .* can run .*; replace it, or"),
        (_edited("size_px = 112", "size_px = 128"), "write size_px = 112"),
        (_edited("side_px = 0", "side_px = 33"), "multiple of 32 - at `side_px`"),
        (_edited("side_px = 0", 'side_px = "640"'), "Expected `int`, got `str` - at `side_px`"),
        (_edited("side_px = 0", "side_px = 0\nmean = 3"), "Expected `array`, got `int` - at `mean`"),
        (_edited("side_px = 0", 'side_px = 0\ncolour = "grey"'), "known are rgb, bgr"),
        (
            _edited("side_px = 0", 'side_px = 0\ncertain_score = "x"'),
            "Expected `float`, got `str` - at `certain_score`",
        ),
        (
            _of_side_640(320),
            r"detector.onnx \(the detector\) takes pictures of 640x640, .* is 320: write side_px = 640",
        ),
        (_of_side_640(0), "write side_px = 640"),
        (
            _edited('family = "scrfd"', 'family = "yunet"'),
            'has the outputs of scrfd, not of yunet: write family = "scrfd"',
        ),
        (
            _edited('family = "scrfd"', 'family = "centerface"'),
            "has the outputs of scrfd, not of centerface: write family",
        ),
        (_nine_other_outputs, r"does not have the outputs of scrfd, nor of another family of detectors \(yunet, cent"),
        (_copied("embedder.onnx", "detector.onnx"), "detector.onnx .the detector. does not have the outputs of scrfd"),
        (
            _copied("detector.onnx", "embedder.onnx"),
            "embedder.onnx .the embedder. is a detector of the family scrfd: name",
        ),
        (_roles_exchanged, r"exchange the files of \[roles.detector\] and \[roles.embedder\]"),
        (_edited('colour = "rgb"', 'colour = "bgr"'), r'decidability is 8\.\d+, not 6\.\d+, with colour = "rgb"'),
        (_embedder("nan"), "the embedder gives NaN or infinity"),
        (_embedder("constant"), "the same vector for every face"),
        (_embedder("noise"), "the vectors do not distinguish people"),
        (
            lambda folder, parts: _replaced(
                folder, "detector.onnx", shaped.scrfd(parts.yunet, folder / "m.onnx", mirrored=True)
            ),
            "the detector gives mirrored points",
        ),
        (_edited("side_px = 0", "side_px = 0\nscale = 9999.0"), "finds no face on 6 of 6"),
        (_edited("side_px = 0", "side_pixels = 0"), "unknown field `side_pixels`"),
    ],
)
def test_check_says_in_words_what_is_wrong(
    own: NewPack, parts: Parts, tmp_path: Path, break_it: Breaking, fault: str
) -> None:
    folder = tmp_path / "pack"
    shutil.copytree(own.folder, folder)
    break_it(folder, parts)
    faults = PackCheck(folder, parts.portraits).faults()
    assert len(faults) == 1
    assert re.search(fault, faults[0])


@pytest.mark.parametrize("break_it", [_copied("embedder.onnx", "detector.onnx"), _nine_other_outputs])
def test_comparisons_too_name_the_network_that_is_not_what_the_pack_says(
    own: NewPack, parts: Parts, tmp_path: Path, break_it: Breaking, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(own.folder, tmp_path / "pack")
    break_it(folder, parts)
    said = re.escape(f"{folder / 'detector.onnx'} (the detector) does not have the outputs of scrfd")
    photos = [str(packs.samples()[name]) for name in ("obama.jpg", "obama2.jpg")]
    with (
        Comparer(folder, settings=ComparerSettings(uncalibrated=True)) as comparer,
        pytest.raises(PackInvalid, match=said),
    ):
        comparer.compare(*photos)
    words = [f"--source-image-bytes=fileb://{photos[0]}", f"--target-image-bytes=fileb://{photos[1]}"]
    assert main(["compare-faces", *words, "--pack", str(folder), "--uncalibrated"]) == 253
    assert re.search(said, capsys.readouterr().err)


def test_a_network_that_fails_as_it_runs_is_named(own: NewPack, parts: Parts, tmp_path: Path) -> None:
    """An embedder that declares any number of pictures, and takes one, as exporters leave it."""
    folder = shutil.copytree(own.folder, tmp_path / "pack")
    model = onnx.load(str(folder / "embedder.onnx"))
    output = model.graph.output[0]
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, 192]), "one"))
    model.graph.node.append(onnx.helper.make_node("Reshape", [output.name, "one"], ["as_one"]))
    output.CopyFrom(onnx.helper.make_tensor_value_info("as_one", onnx.TensorProto.FLOAT, ["N", 192]))
    onnx.save(model, str(folder / "o.onnx"))
    _replaced(folder, "embedder.onnx", folder / "o.onnx")
    said = re.escape(f"{folder / 'embedder.onnx'} (the embedder) does not run on 2×3×112×112: ")
    with Comparer(folder) as comparer, pytest.raises(PackInvalid, match=said):
        comparer.prepare(packs.samples()["obama.jpg"])


def test_weights_in_other_files_become_part_of_the_pack(
    own: NewPack, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx.save(
        onnx.load(str(own.folder / "embedder.onnx")),
        str(tmp_path / "e.onnx"),
        save_as_external_data=True,
        location="e.onnx.data",
    )
    assert (tmp_path / "e.onnx").stat().st_size < (own.folder / "embedder.onnx").stat().st_size / 2
    networks = Networks(own.folder / "detector.onnx", tmp_path / "e.onnx")
    made = make_pack(tmp_path / "pack", networks, parts.few)
    (tmp_path / "e.onnx.data").rename(tmp_path / "elsewhere")
    assert sorted(path.name for path in made.folder.iterdir()) == ["detector.onnx", "embedder.onnx", "manifest.toml"]
    assert PackCheck(made.folder, parts.few).faults() == []
    (tmp_path / "elsewhere").rename(tmp_path / "e.onnx.data")
    monkeypatch.setattr("likeness.authoring.networks._MOST_BYTES", 1_000_000)
    with pytest.raises(PackInvalid, match=r"e\.onnx has more than 2 GB of weights in other files"):
        make_pack(tmp_path / "large", networks, parts.few)
    assert not (tmp_path / "large").exists()


def test_a_pack_that_cannot_be_opened_is_not_left(
    own: NewPack, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Graph, "whole", lambda graph: b"?")
    with pytest.raises(PackDamaged, match=r"detector\.onnx is not a network"):
        make_pack(tmp_path / "pack", Networks(own.folder / "detector.onnx", own.folder / "embedder.onnx"), parts.few)
    assert list(tmp_path.iterdir()) == []


def test_a_mirrored_template_is_a_fault(own: NewPack, parts: Parts, tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    shutil.copytree(own.folder, folder)
    (left, right, nose, low_left, low_right) = own.embedder.parameters["template"]
    _rewritten(folder, str([left, right, nose, low_left, low_right]), str([right, left, nose, low_right, low_left]))
    assert "template has mirrored points: the order is left eye" in PackCheck(folder, parts.few).faults()[0]


def test_the_user_s_own_photos_can_be_tried_on(parts: Parts, tmp_path: Path) -> None:
    lines = ["image,person"]
    for name, path in packs.samples().items():
        shutil.copy(path, tmp_path / name)
        lines.append(f"{name},{name[:5]}")
    (tmp_path / "damaged.jpg").write_bytes(b"?")
    table = tmp_path / "people.csv"
    table.write_text("\n".join([*lines, "damaged.jpg,obama"]))
    assert sorted(each.name for each in portraits_of(table)) == sorted(packs.samples())
    table.write_text("\n".join([lines[0], lines[1], lines[-1]]))
    with pytest.raises(PackInvalid, match="two of one of them"):
        portraits_of(table)


def test_the_commands_print_choices_with_figures_and_the_next_command(
    own: NewPack, parts: Parts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work, folder = own.folder.parent, tmp_path / "my pack"
    files = ["--detector", str(parts.yunet), "--embedder", str(work / "arc.onnx")]
    assert main(["packs", "new", str(folder), *files]) == 0
    out, said = capsys.readouterr()
    assert "retail distinguishes people best, but 2 people do not decide that" in said
    assert "faces found  6 of 6 portraits" in out
    assert out.count("chosen") == 2
    assert "chosen  rgb, -1 to 1, template arcface" in out
    assert re.search(r"lengths +certainty: vectors of degraded faces are \d+\.\d% shorter", out)
    assert out.endswith(f"next: likeness calibrate PEOPLE.csv --within group,sex --pack '{folder}' --into '{folder}'\n")
    assert main(["packs", "check", str(folder)]) == 0
    assert "nothing wrong: pairs of one person have a cosine of 0." in capsys.readouterr().out
    _rewritten(folder, "size_px = 112", "size_px = 128")
    assert main(["packs", "check", str(folder)]) == 255
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n"), printed.err.count(str(folder))) == ("", 1, 1)
    assert "write size_px = 112" in printed.err
    assert main(["packs", "check", "samples"]) == 255
    assert "has no [roles], so it compares no faces; name a pack of networks" in capsys.readouterr().err


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
