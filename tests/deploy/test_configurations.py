"""The settings, units and manifests that are shipped are ones that the server and the tools accept."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from tests.deploy.conftest import DEPLOY, REPOSITORY, containerfile, image_environment, wait_until_it_listens
from tests.listening import exit_code

from likeness.aws.keys import Record
from likeness.packs import store
from likeness.server.configuration import OTHER_VARIABLES, SETTINGS

BIN = Path(sys.executable).parent
#: What the services of the compose file may have: whoever adds a key decides here whether it weakens their confinement.
COMPOSE_KEYS = {
    "build",
    "cap_drop",
    "command",
    "depends_on",
    "entrypoint",
    "environment",
    "healthcheck",
    "image",
    "mem_limit",
    "networks",
    "pids_limit",
    "ports",
    "read_only",
    "restart",
    "security_opt",
    "stop_grace_period",
    "tmpfs",
    "volumes",
}
#: What the pod and its container may have, in the same way.
POD_KEYS = {
    "automountServiceAccountToken",
    "containers",
    "enableServiceLinks",
    "securityContext",
    "terminationGracePeriodSeconds",
    "topologySpreadConstraints",
    "volumes",
}
CONTAINER_KEYS = {
    "env",
    "image",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "name",
    "ports",
    "readinessProbe",
    "resources",
    "securityContext",
    "volumeMounts",
}
#: The exposure that `systemd-analyze security` gives the unit, 1.4 of 10, in the tenths that --threshold takes.
MOST_EXPOSURE = 14

Key = tuple[Path, Record]


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8")))


def kubernetes() -> dict[str, Any]:
    """The manifests by kind."""
    return {each["kind"]: each for each in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text("utf-8"))}


def pod() -> dict[str, Any]:
    return dict(kubernetes()["Deployment"]["spec"]["template"]["spec"])


def unit() -> list[tuple[str, str]]:
    lines = (DEPLOY / "likeness.service").read_text("utf-8").splitlines()
    return [(name, value) for name, equals, value in (line.partition("=") for line in lines) if equals]


def environments() -> dict[str, dict[str, str]]:
    """What the shipped files set in the server's environment."""
    image = image_environment()
    composed = {name: re.sub(r"\$\{.*\}", "value", value) for name, value in likeness_of_compose().items()}
    pods = {each["name"]: each["value"] for each in pod()["containers"][0]["env"]}
    return {"image": image, "compose": image | composed, "kubernetes": image | pods}


def image_user() -> int:
    """The user of the image, who is also its group."""
    user, group = dict(containerfile())["USER"].split(":")
    assert user == group
    return int(user)


def gibibytes(limit: str) -> int:
    """The amount of memory that compose, systemd and Kubernetes call 4g, 4G and 4Gi."""
    (number,) = re.findall(r"^(\d+)(?:g|G|Gi)$", limit)
    return int(number)


def likeness_of_compose() -> dict[str, str]:
    return dict(compose()["services"]["likeness"]["environment"])


def addresses() -> dict[str, str]:
    """The fixed addresses in the network that the server shares with nginx, by service."""
    services = compose()["services"]
    return {
        name: service["networks"]["front"]["ipv4_address"]
        for name, service in services.items()
        if "front" in service["networks"]
    }


def check(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LIKENESS_")}
    environment = {**environment, "LIKENESS_HOME": str(store.home())}  # theirs is the image's folder, not ours
    command = [str(BIN / "likeness"), "serve", "--check", *arguments]
    return subprocess.run(command, env=kept | environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("place", ["image", "compose", "kubernetes"])
def test_the_server_accepts_the_environment(standard_pack: None, place: str, key: Key) -> None:
    environment = environments()[place]
    ours = {name for name in environment if name.startswith("LIKENESS_")}
    assert ours <= {each.variable for each in SETTINGS.values()} | OTHER_VARIABLES
    checked = check(environment | {"LIKENESS_KEYS": str(key[0])})
    assert checked.returncode == 0, checked.stderr
    assert f"authentication: on, {key[0]}" in checked.stdout


def test_every_shipped_server_trusts_its_proxy() -> None:
    """Without that all callers are one, at the proxy's address and without TLS."""
    shipped = environments()
    assert shipped["compose"]["LIKENESS_TRUSTED_PROXIES"] == addresses()["nginx"]
    assert ip_network(shipped["kubernetes"]["LIKENESS_TRUSTED_PROXIES"]).is_private
    settings = tomllib.loads((DEPLOY / "likeness.toml").read_text("utf-8"))
    assert settings["trusted_proxies"] == ["*"]
    assert "unix_socket" in settings
    page = (REPOSITORY / "docs" / "operations.md").read_text("utf-8")
    assert "LIKENESS_TRUSTED_PROXIES" in page.split("### Running it\n")[1].split("\n### ")[0]


def test_the_composed_server_keeps_its_address() -> None:
    """nginx looks its name up once, at start: it would not find a server that has another address after a restart."""
    (network,) = compose()["networks"]["front"]["ipam"]["config"]
    gateway, *others = (str(each) for each in ip_network(network["subnet"]).hosts())
    assert set(addresses()) == {"likeness", "nginx"}
    assert len({gateway, *addresses().values()}) == 3
    assert set(addresses().values()) < set(others)


def test_the_composed_server_has_the_health_check_of_the_image_in_whatever_format_that_is() -> None:
    """Images in OCI format have none, and nginx would wait for one forever."""
    options, _, command = dict(containerfile())["HEALTHCHECK"].partition("CMD ")
    checked = dict(compose()["services"]["likeness"]["healthcheck"])
    assert checked.pop("test") == ["CMD", *json.loads(command)]
    assert {name.replace("_", "-"): value for name, value in checked.items()} == dict(
        each.removeprefix("--").split("=") for each in options.split()
    )


def test_the_image_refuses_to_start_without_keys(tmp_path: Path) -> None:
    checked = check(image_environment() | {"LIKENESS_KEYS": str(tmp_path / "none.json")})
    assert checked.returncode == 252
    assert "none.json" in checked.stderr


def test_what_is_mounted_is_where_the_image_looks() -> None:
    keys = Path(image_environment()["LIKENESS_KEYS"])
    assert compose()["services"]["likeness"]["volumes"] == [f"./keys:{keys.parent}:ro"]
    assert pod()["containers"][0]["volumeMounts"] == [{"name": "keys", "mountPath": str(keys.parent), "readOnly": True}]
    assert (DEPLOY / compose()["services"]["likeness"]["build"]["context"]).resolve() == REPOSITORY
    assert (REPOSITORY / compose()["services"]["likeness"]["build"]["dockerfile"]).exists()


def test_the_services_of_compose_have_no_key_that_was_not_considered() -> None:
    """An engine may ignore one that is misspelt, and `privileged` or `cap_add` undo the others."""
    assert compose().keys() == {"services", "networks", "volumes"}
    for name, service in compose()["services"].items():
        assert service.keys() <= COMPOSE_KEYS, name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_the_composed_server_is_confined_and_given_time_to_end() -> None:
    server = compose()["services"]["likeness"]
    assert server["read_only"] is True
    assert server["cap_drop"] == ["ALL"]
    assert "tmpfs" not in server
    named = dict(unit())
    assert gibibytes(server["mem_limit"]) == gibibytes(named["MemoryMax"])
    assert server["pids_limit"] == int(named["TasksMax"])
    assert int(server["stop_grace_period"].removesuffix("s")) > SETTINGS["grace_seconds"].default


def test_only_nginx_is_reached_from_outside_and_only_the_server_reaches_the_store() -> None:
    services = compose()["services"]
    assert {name for name, service in services.items() if "ports" in service} == {"nginx"}
    networks = {name: set(service["networks"]) for name, service in services.items()}
    assert networks == {"likeness": {"front", "store"}, "nginx": {"front"}, "minio": {"store"}, "reader": {"store"}}


def test_nginx_of_compose_is_confined_and_given_what_its_settings_name() -> None:
    service, settings = compose()["services"]["nginx"], (DEPLOY / "nginx.conf").read_text("utf-8")
    assert service["read_only"] is True
    (port,) = re.findall(r"listen (\d+) ssl;", settings)
    assert service["ports"] == [f"{port}:{port}"]
    (certificate,) = re.findall(r"ssl_certificate (\S+);", settings)
    folder = Path(certificate).parent
    assert service["volumes"] == ["./nginx.conf:/etc/nginx/nginx.conf:ro", f"./tls:{folder}:ro"]
    (process_id,) = re.findall(r"pid (\S+);", settings)
    assert service["tmpfs"] == ["/var/cache/nginx", str(Path(process_id).parent)]
    assert f"server likeness:{image_environment()['LIKENESS_PORT']};" in settings


def test_the_pod_has_no_key_that_was_not_considered() -> None:
    """The schema allows what undoes the confinement: `hostNetwork`, `hostPID`, folders of the host, init containers."""
    assert pod().keys() <= POD_KEYS
    (container,) = pod()["containers"]
    assert container.keys() <= CONTAINER_KEYS
    assert [set(volume) for volume in pod()["volumes"]] == [{"name", "secret"}]


def test_the_pod_has_the_images_user_no_token_and_limits() -> None:
    user = image_user()
    assert pod()["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert pod()["automountServiceAccountToken"] is False
    (container,) = pod()["containers"]
    limits = container["resources"]["limits"]
    assert gibibytes(limits["memory"]) == gibibytes(dict(unit())["MemoryMax"])
    assert limits["cpu"] == container["resources"]["requests"]["cpu"]
    assert str(container["ports"][0]["containerPort"]) == image_environment()["LIKENESS_PORT"]


def test_the_pod_is_confined_probed_and_given_time_to_end() -> None:
    container = pod()["containers"][0]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert pod()["terminationGracePeriodSeconds"] > 5 + SETTINGS["grace_seconds"].default
    assert pod()["enableServiceLinks"] is False  # the Service likeness would set LIKENESS_PORT to an address
    labels = kubernetes()["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert labels == kubernetes()["Service"]["spec"]["selector"]
    assert labels == kubernetes()["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]


def test_only_the_proxy_and_prometheus_reach_the_pods() -> None:
    """The metrics have the port of the API, so whoever else reaches that port reads them."""
    policy = kubernetes()["NetworkPolicy"]["spec"]
    assert policy["podSelector"]["matchLabels"] == kubernetes()["Service"]["spec"]["selector"]
    assert policy["policyTypes"] == ["Ingress"]
    (rule,) = policy["ingress"]
    assert [port["port"] for port in rule["ports"]] == [pod()["containers"][0]["ports"][0]["name"]]
    named = [each["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for each in rule["from"]]
    assert named == ["likeness-proxy", "prometheus"]


def test_the_server_has_other_credentials_than_the_stores_owner() -> None:
    services = compose()["services"]
    root = set(services["minio"]["environment"].values())
    assert all("MINIO_ROOT" in value for value in root)
    assert not any("MINIO_ROOT" in value for value in likeness_of_compose().values())
    reader = services["reader"]["environment"]
    own = [reader[name] for name in ("MINIO_READER_USER", "MINIO_READER_PASSWORD")]
    names = ("LIKENESS_S3_ACCESS_KEY_ID", "LIKENESS_S3_SECRET_ACCESS_KEY")
    assert own == [likeness_of_compose()[name] for name in names]


@pytest.mark.parametrize("before", ["", "readonly"])
def test_the_stores_reader_is_made_once_and_may_read(before: str, tmp_path: Path) -> None:
    (script,) = compose()["services"]["reader"]["command"]
    mc, asked = tmp_path / "mc", tmp_path / "asked"
    mc.write_text(f'#!/bin/sh\necho "$@" >> {asked}\n[ "$3" = info ] && echo "PolicyName: {before}"\nexit 0\n')
    mc.chmod(0o755)
    names = ("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD", "MINIO_READER_USER", "MINIO_READER_PASSWORD")
    environment = {name: name.lower() for name in names} | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-ec", script.replace("$$", "$")], env=environment, check=True)
    made = [
        "alias set store http://minio:9000 minio_root_user minio_root_password",
        "admin user add store minio_reader_user minio_reader_password",
        "admin user info store minio_reader_user",
    ]
    allowed = [] if before else ["admin policy attach store readonly --user minio_reader_user"]
    assert asked.read_text().splitlines() == made + allowed


def test_the_manifests_match_the_schemas_of_kubernetes() -> None:
    for manifest in kubernetes().values():
        kubernetes_validate.validate(manifest, "1.33", strict=True)


def test_the_unit_starts_the_server_with_the_shipped_settings(standard_pack: None, key: Key, tmp_path: Path) -> None:
    command = shlex.split(dict(unit())["ExecStart"])
    assert command[0] == "/opt/likeness/bin/likeness"
    settings = tmp_path / "likeness.toml"
    text = (DEPLOY / Path(command[-1]).name).read_text("utf-8")
    for folder in ("/run/likeness", "/etc/likeness", "/var/log/likeness"):
        assert folder in text
        text = text.replace(folder, str(tmp_path))
    settings.write_text(text)
    log = tmp_path / "stderr"
    with log.open("wb") as stream:
        process = subprocess.Popen([str(BIN / "likeness"), *command[1:-1], str(settings)], stderr=stream)
    try:
        wait_until_it_listens(process, log)
    finally:
        process.terminate()
        assert exit_code(process, log) == 0
    assert "signatures checked" in log.read_text()


def test_the_unit_gives_the_folders_that_the_settings_name() -> None:
    named = dict(unit())
    text = (DEPLOY / "likeness.toml").read_text("utf-8")
    folders = {"RuntimeDirectory": "/run", "LogsDirectory": "/var/log"}
    assert all(f'"{folder}/{named[name]}/' in text for name, folder in folders.items())
    held = (DEPLOY / "likeness.socket").read_text("utf-8")
    assert f'unix_socket = "{re.findall("ListenStream=(.*)", held)[0]}"' in text
    assert f"LIKENESS_HOME=/var/lib/{named['StateDirectory']}" in named["Environment"].split()
    assert float(named["TimeoutStopSec"]) > SETTINGS["grace_seconds"].default


def test_the_user_of_the_unit_can_read_its_settings_and_keys_and_not_change_them(tmp_path: Path) -> None:
    """The commands of the page, in a mount namespace with folders of its own; the weights are not fetched."""
    if os.getuid() != 0 or not all(map(shutil.which, ("unshare", "useradd", "runuser"))):
        pytest.skip("another user and mounts need root, unshare, useradd and runuser")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("this machine allows no mount namespaces")
    page = (REPOSITORY / "docs" / "operations.md").read_text("utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", page.split("### systemd\n")[1].split("\n### ")[0], re.DOTALL)
    (commands,) = (each for each in blocks if "useradd" in each)
    fetching = "env LIKENESS_HOME=/var/lib/likeness /opt/likeness/bin/likeness packs install"
    assert fetching in commands
    shutil.copytree("/etc", tmp_path / "etc", symlinks=True)
    (tmp_path / "lib").mkdir()
    user = f"runuser -u {dict(unit())['User']} --"
    script = f"""
        mount --bind {tmp_path}/etc /etc
        mount --bind {tmp_path}/lib /var/lib
        {commands.replace(fetching, "touch /var/lib/likeness/weights").replace("/opt/likeness/bin/", f"{BIN}/")}
        for file in likeness.toml keys.json; do
            {user} cmp /etc/likeness/$file /etc/likeness/$file
            if {user} test -w /etc/likeness/$file; then exit 3; fi
        done
        if {user} touch /etc/likeness/other || runuser -u nobody -- ls /etc/likeness; then exit 4; fi
    """
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", script], cwd=REPOSITORY, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr


def test_the_page_installs_the_released_set_as_the_image_does() -> None:
    """Those steps are carried out by `make image-steps`: their downloads take minutes."""
    page = (REPOSITORY / "docs" / "operations.md").read_text("utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", page.split("### systemd\n")[1].split("\n### ")[0], re.DOTALL)
    (commands,) = (each for each in blocks if "-m venv" in each)
    places = {"build/venv": "/opt/build", "--wheel-dir dist": "--wheel-dir /opt/wheel"}
    places |= {"--find-links dist": "--find-links /opt/wheel", "python3 ": "python "}
    for ours, images in places.items():
        assert ours in commands
        commands = commands.replace(ours, images)
    steps = [rest for word, rest in containerfile() if word == "RUN"]
    assert commands.splitlines() == [each for each in steps if re.search(r"-m (venv|pip (install|wheel)) ", each)]


def test_the_page_says_how_the_base_images_are_pinned() -> None:
    """Their digests change with each of their updates, which operators choose."""
    page = (REPOSITORY / "docs" / "operations.md").read_text("utf-8")
    section = page.split("### Running it\n")[1].split("\n### ")[0]
    version = dict(containerfile())["ARG"].partition("=")[2]
    used = {rest.split()[0].replace("${PYTHON}", version) for word, rest in containerfile() if word == "FROM"}
    used |= {service["image"] for service in compose()["services"].values() if "build" not in service}
    for image in used:
        assert "@sha256:" in image or f"`{image}`" in section, image


def test_all_that_is_installed_is_audited() -> None:
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    (recipe,) = re.findall(r"^audit:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    shipped = {f"deploy/{path.name}" for path in DEPLOY.glob("*requirements.txt")}
    assert set(re.findall(r"--requirement (\S+)", recipe)) == shipped


def test_the_folder_of_the_settings_is_not_made_by_systemd() -> None:
    """It would belong to root and its group, and the unit's user could not read it (systemd.exec, User=)."""
    assert "ConfigurationDirectory" not in dict(unit())


def test_the_unit_exposes_no_more_than_it_must(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    if int(subprocess.run([program, "--version"], capture_output=True, text=True).stdout.split()[1]) < 250:
        pytest.skip("this systemd-analyze cannot examine a unit that is not loaded")
    path = tmp_path / "likeness.service"
    text = (DEPLOY / "likeness.service").read_text("utf-8")
    path.write_text(text.replace("/opt/likeness/bin/likeness", str(BIN / "likeness")))
    listening = shutil.copy(DEPLOY / "likeness.socket", tmp_path)
    verified = subprocess.run(
        [program, "verify", str(path), str(listening)], capture_output=True, text=True, timeout=60
    )
    assert "likeness.socket" not in verified.stderr, verified.stderr
    assert "likeness.service" not in verified.stderr, verified.stderr
    command = [program, "security", "--offline=yes", f"--threshold={MOST_EXPOSURE}", str(path)]
    examined = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert examined.returncode == 0, examined.stdout


def test_every_file_is_listed_in_the_page_about_running_it() -> None:
    page = (REPOSITORY / "docs" / "operations.md").read_text("utf-8")
    section = page.split("### Running it\n")[1].split("\n### ")[0]
    shipped = {path.name for path in DEPLOY.iterdir() if path.is_file()}
    assert set(re.findall(r"\]\(\.\./deploy/([\w.-]+)\)", section)) == shipped - {".env"}
    commands = [line for line in "".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL)).splitlines() if line]
    # Those of docker need an engine: their files are checked here, and the Containerfile's steps by test_container.
    for command in commands:
        for path in re.findall(r"deploy/[\w.]+\.?\w*", command):
            assert path.startswith("deploy/keys") or (REPOSITORY / path).exists(), command


def test_the_unit_lets_decoders_confine_themselves() -> None:
    """`isolate_decoding` uses landlock, which @system-service of systemd 252 does not contain."""
    allowed = " ".join(value for name, value in unit() if name == "SystemCallFilter").split()
    assert {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"} <= set(allowed)
