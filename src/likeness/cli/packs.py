"""`likeness packs list | show | install | verify | remove | new | check | compare`."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from likeness.calibrated import calibrate_command, calibration_fault
from likeness.claims import LEAST_ERRORS
from likeness.cli import pack_authoring
from likeness.cli.exit_codes import OTHER_ERROR
from likeness.cli.installation import progress_for_people
from likeness.cli.streams import say
from likeness.cli.tables import print_facts, print_table, print_title
from likeness.cli.tool_arguments import ToolParser
from likeness.errors import PackNotInstalled
from likeness.packs import installation, store
from likeness.packs.loaded import pack_folder
from likeness.packs.manifest import MANIFEST_NAME, Manifest, read_manifest
from likeness.packs.published import check_accepted

#: The pack if none is named.
DEFAULT = "standard"


def main(arguments: Sequence[str]) -> int:
    """Runs `likeness packs` with `arguments` and returns the exit code."""
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)
    code: int = options.run(options)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(prog="likeness packs", description="Model packs: the networks that Likeness uses.")
    parser.set_defaults(run=_list)
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=ToolParser)
    listing = commands.add_parser("list", help="list known and installed packs")
    listing.set_defaults(run=_list)
    show = commands.add_parser("show", help="print roles, files, licences, accuracy and calibration of a pack")
    show.add_argument("pack", nargs="?", default=DEFAULT, help=f"a name or a folder (default: {DEFAULT})")
    show.set_defaults(run=_show)
    install = commands.add_parser("install", help="download, verify, convert and install packs")
    install.add_argument("packs", nargs="*", metavar="pack", default=[DEFAULT], help=f"names (default: {DEFAULT})")
    install.add_argument(
        "--from", dest="source", type=Path, metavar="DIR", help="take the files from this folder, not the network"
    )
    install.add_argument(
        "--accept-license", action="store_true", help="accept what the licences of these packs, as shown, forbid"
    )
    install.set_defaults(run=_install)
    verify = commands.add_parser("verify", help="read every file of packs and compare its hash with the manifest")
    verify.add_argument("packs", nargs="*", metavar="pack", help="names or folders (default: all that are installed)")
    verify.set_defaults(run=_verify)
    remove = commands.add_parser("remove", help="delete packs from the cache folder")
    remove.add_argument("packs", nargs="+", metavar="pack", help="names")
    remove.set_defaults(run=_remove)
    pack_authoring.add_commands(commands)
    return parser


def _list(_: argparse.Namespace) -> int:
    rows = []
    for name, entry in store.catalogue().items():
        installed = store.is_installed(entry)
        folder = store.folder_of(entry)
        size = sum(path.stat().st_size for path in folder.iterdir()) if installed else 0
        rows.append((name, entry.version, f"{size / 1e6:.1f} MB" if installed else "not installed", entry.summary))
    print_table(("Pack", "Version", "On disk", "What"), rows)
    print(f"\ncache folder: {store.home()}")
    return 0


def _show(options: argparse.Namespace) -> int:
    manifest = _manifest(options.pack)
    where = manifest.folder or f"not installed; run: likeness packs install {manifest.name}"
    fetched = f"{sum(each.size for each in manifest.distributions.values()) / 1e6:.1f} MB, once"
    print_facts(
        [
            ("pack", manifest.name),
            ("version", manifest.version),
            ("summary", manifest.summary),
            ("folder", str(where)),
            *([("restricted", manifest.restriction)] if manifest.restriction else []),
            ("fetched", fetched if manifest.distributions else "nothing; you provide its files"),
        ]
    )
    if manifest.roles:
        print_title("Roles")
        print_table(("Role", "File", "Family"), [(r.name, r.file, r.family) for r in manifest.roles.values()])
    print_title("Files")
    rows = [(f.name, f"{f.size / 1e6:.2f} MB" if f.size else "", f.sha256) for f in manifest.files.values()]
    print_table(("File", "Size", "SHA-256"), rows)
    print_title("Where they come from")
    for file in manifest.files.values():
        facts = [
            ("file", file.name),
            ("origin", file.origin),
            ("licence", f"{file.licence}  {file.licence_url}"),
            ("terms", file.terms),
        ]
        if file.source:
            facts.append(("taken from", _source(manifest, file.source.distribution, file.source.description)))
            facts.append(("SHA-256 there", file.source.sha256))
        if file.source and file.source.weights:
            facts.append(("weights from", _source(manifest, file.source.weights, "")))
            facts.append(("SHA-256 there", manifest.distributions[file.source.weights].sha256))
        print_facts([fact for fact in facts if fact[1].strip()])
        print()
    _show_calibration(manifest)
    return 0


def _source(manifest: Manifest, distribution: str, description: str) -> str:
    if not distribution:
        return description
    pinned = manifest.distributions[distribution]
    if pinned.index == "web":
        return f"{pinned.url}{description.partition(':')[2] and ':'}{description.partition(':')[2]}".rstrip(": ")
    at = "@" if pinned.index == "npm" else "=="
    return f"{pinned.project}{at}{pinned.version}, {pinned.file}: {description.partition(': ')[2]}"


def _show_calibration(manifest: Manifest) -> None:
    if not manifest.roles:
        return
    print_title("Similarity")
    if manifest.calibration is None:
        print("not calibrated")
    elif fault := calibration_fault(manifest):
        print(fault)
    else:
        levels = (50.0, 80.0, 90.0, 95.0, 99.0, 100.0)
        claims = {level: manifest.calibration.claim(level) for level in levels}
        rows = [(f"{level:g}", claim.in_figures, claim.in_words) for level, claim in claims.items()]
        print_table(("Similarity at least", "False match rate", "Pairs"), rows)
        cells = ", in the mean of the cells that were measured" if manifest.calibration.within else ""
        print_facts([("pairs", manifest.calibration.whom + cells)])
    print_title("Measured accuracy")
    if not manifest.accuracy:
        print("no figures in this pack")
        return
    measured = [(m.measure, m.data, m.value_text(), m.interval_text(), m.counted, m.command) for m in manifest.accuracy]
    print_table(("Measure", "Data", "Value", "95 % interval", "Errors", "Command"), measured)
    if not all(m.measured for m in manifest.accuracy):
        words = f"fewer than {LEAST_ERRORS} errors show no rate: its limit is given, or a ratio that may be far off"
        print_facts([("few errors", words)])


def _install(options: argparse.Namespace) -> int:
    entries = [store.known(name) for name in options.packs]
    for entry in entries:
        _show_licences(entry)
    again = [
        "likeness",
        "packs",
        "install",
        *options.packs,
        *(["--from", str(options.source)] if options.source else []),
    ]
    for entry in entries:  # before any is installed
        accepted = options.accept_license or store.is_installed(entry)
        check_accepted(entry.name, entry.restriction, accepted, shlex.join(again))
    with progress_for_people() as progress:
        for name in options.packs:
            installation.install(
                name, source_dir=options.source, progress=progress, accept_license=options.accept_license
            )
    for entry in entries:
        if entry.roles and entry.calibration is None:
            print(
                f"{entry.name} is not calibrated, so it answers only with --uncalibrated; next: "
                f"{calibrate_command(store.folder_of(entry))}"
            )
    return 0


def _show_licences(entry: Manifest) -> None:
    """The licences of a pack that comes from its publishers, before anything is fetched."""
    if not any(distribution.index == "web" for distribution in entry.distributions.values()):
        return
    print_title(f"Licences of {entry.name}")
    print_table(
        ("File", "Licence", "Terms", "From"),
        [(f.name, f"{f.licence} {f.licence_url}", f.terms, f.origin) for f in entry.files.values()],
    )
    if entry.restriction:
        print(f"restricted: {entry.restriction}")


def _verify(options: argparse.Namespace) -> int:
    folders = [_installed_folder(pack) for pack in options.packs]
    if not options.packs:
        folders = [store.folder_of(entry) for entry in store.catalogue().values() if store.is_installed(entry)]
    if not folders:
        print("no pack is installed; run: likeness packs install")
    damaged = False
    for folder in folders:
        damages = store.damages(folder)
        damaged = damaged or bool(damages)
        for damage in damages:
            say(f"likeness: {damage}")
        if not damages:
            print(f"whole: {folder}")
    return OTHER_ERROR if damaged else 0


def _remove(options: argparse.Namespace) -> int:
    for name in options.packs:
        store.known(name)
    for name in options.packs:
        removed = installation.remove(name)
        print(f"removed {', '.join(map(str, removed))}" if removed else f"{name} is not installed")
    return 0


def _manifest(pack: str) -> Manifest:
    """The manifest of an installed pack, of a folder, or the catalogue's."""
    try:
        return read_manifest(_installed_folder(pack))
    except PackNotInstalled:
        return store.known(pack)


def _installed_folder(pack: str) -> Path:
    if (Path(pack) / MANIFEST_NAME).is_file() or "/" in pack or pack.startswith((".", "~")):
        return pack_folder(Path(pack))
    entry = store.known(pack)
    if not store.is_installed(entry):
        raise PackNotInstalled(f"the pack {pack} is not installed; run: likeness packs install {pack}")
    return store.folder_of(entry)
