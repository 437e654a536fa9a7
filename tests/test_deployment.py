"""compose.yaml, the Dockerfile and the systemd units, checked without a container engine."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from sealward.__main__ import main
from sealward.settings import Keystone, Settings
from sealward.settings.declared import declared_by
from stack import compose
from stack.sealward import READY
from stack.secrets import ROLES, make

ROOT = Path(__file__).parent.parent
READ_BY_SERVERS = {"rabbitmq-definitions", *ROLES}
"""Secrets that no variable names: the servers' own files read them."""
UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))


class Asked(dict[str, str]):
    """An environment that notes which variables are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: object = None) -> Any:  # noqa: ANN401 - as dict has it
        """Note the name."""
        self.names.add(name)
        return default


def known_settings() -> set[str]:
    """Return the names of all environment variables that Settings reads."""
    asked = Asked()
    Settings.from_env(asked)
    of_keystone = {f"{one.name}{'_FILE' * one.secret}" for one in declared_by(Keystone)}
    return asked.names | of_keystone


def said(*words: str) -> tuple[int, str]:
    """Run a program to its end; return its exit status and all that it said."""
    done = subprocess.run(  # noqa: S603 - Debian's programs, on files of ours
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout


def document() -> dict[str, Any]:
    """Return compose.yaml."""
    read: dict[str, Any] = yaml.safe_load(compose.FILE.read_text(encoding="utf-8"))
    return read


def unit(path: Path) -> list[tuple[str, str]]:
    """Return the lines of a unit as (key, value); keys repeat."""
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return [(key, value) for key, _, value in pairs]


def variables(pairs: list[tuple[str, str]]) -> Mapping[str, str]:
    """Return what a unit puts into the environment."""
    settings = (value.partition("=") for key, value in pairs if key == "Environment")
    return {name: value for name, _, value in settings}


def test_docker_compose_accepts_the_file() -> None:
    """Read by the stock program, which also resolves anchors, secrets and dependencies."""
    assert said("/usr/bin/docker-compose", "-f", str(compose.FILE), "config", "--quiet") == (0, "")


def test_every_process_of_sealward_is_a_service_and_nothing_else_is() -> None:
    """Those are what `make stack` starts; two of each that can be many."""
    services = compose.services()

    assert {one.command: one.replicas for one in services.values()} == {
        "migrate": 1,
        "node": 1,
        "api": 2,
        "worker": 2,
        "agent": 1,
    }
    assert set(READY) == {one.command for one in services.values() if not one.once}
    assert set(document()["services"]) - set(services) == set(compose.SERVERS)


def test_every_setting_in_compose_is_one_that_sealward_reads() -> None:
    """A misspelt variable would silently mean the default."""
    used = {name for one in compose.services().values() for name in one.environment}

    assert used <= known_settings()


def test_compose_holds_no_secret_and_names_exactly_those_that_are_made(tmp_path: Path) -> None:
    """Tokens, passwords and URLs with passwords come from files; a service has only the files it names."""
    make(tmp_path, "postgresql://{user}:{password}@db", "amqp://{user}:{password}@mq", "node")
    declared = {Path(one["file"]).name for one in document()["secrets"].values()}
    for name, service in document()["services"].items():
        values = list(service.get("environment", {}).items())
        named = {Path(value).name for _, value in values if value.startswith(compose.SECRETS)}
        assert not [key for key, _ in values if re.search(r"(TOKEN|PASSWORD|URL)$", key)], name
        assert named | READ_BY_SERVERS >= set(service.get("secrets", ())) >= named, name
        assert declared >= set(service.get("secrets", ())), name

    parts = {"worker-password", "node-password"}  # they are in the URLs and the definitions
    assert {one.name for one in tmp_path.iterdir()} == declared | parts


def test_every_service_that_stays_says_whether_it_is_well() -> None:
    """Ours by commands that exist; none runs as more than it needs."""
    for name, service in document()["services"].items():
        if name in compose.services() and compose.services()[name].once:
            continue
        words = service["healthcheck"]["test"]
        assert words[0] == "CMD", name
        if name in compose.services():
            assert words[1:3] == ["sealward", "health"], name
            assert service["read_only"] is True, name
            assert service["cap_drop"] == ["ALL"], name


def test_the_image_runs_as_nobody_in_particular_and_copies_what_there_is() -> None:
    """Dependencies are hashed, sources are let through by .dockerignore, the user has no name to misuse."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    sources = {source.split("/")[0] for line in copied for source in shlex.split(line)}
    installs = re.findall(r"pip install [^&]*-r (\S+)", text)

    assert sources <= let_through
    assert all((ROOT / source).exists() for source in sources)
    assert installs == ["requirements/build.txt", "requirements/run.txt"]
    assert text.count("--require-hashes") == len(installs)
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE)[-1] == "10001"
    assert not re.search(r"^FROM \S+:latest|^FROM [^:\s]+(\s|$)|^ADD ", text, re.MULTILINE)


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_systemd_accepts_the_unit(path: Path, tmp_path: Path) -> None:
    """Read by systemd's own checker, with an interpreter that is here in place of the installed program."""
    copy = tmp_path / path.name
    copy.write_text(path.read_text().replace("/opt/sealward/bin/sealward", sys.executable))
    assert said("/usr/bin/systemd-analyze", "verify", "--man=no", str(copy)) == (0, "")


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_gives_what_compose_gives(path: Path) -> None:
    """The same command and the same settings, secrets as systemd credentials instead of compose's files."""
    pairs = unit(path)
    (command,) = (value.split()[1] for key, value in pairs if key == "ExecStart")
    service = next(one for one in compose.services().values() if one.command == command)
    credentials = {value.partition(":")[0] for key, value in pairs if key == "LoadCredential"}
    used = {value.removeprefix("%d/") for value in variables(pairs).values() if value.startswith("%d/")}

    assert set(variables(pairs)) - {"SEALWARD_DATA_DIR", "SEALWARD_GATE_SOCKET"} == set(
        service.environment
    ) - {
        "SEALWARD_DATA_DIR",
        "SEALWARD_LISTEN",
    }
    assert credentials == used


DROP_INS = sorted((ROOT / "deploy/systemd/drop-ins").glob("*.conf"))


def of_unit(drop_in: Path) -> Path:
    """Return the unit that a drop-in is for."""
    return next(path for path in UNITS if drop_in.stem.startswith(path.stem.removeprefix("sealward-")))


def with_drop_in(drop_in: Path, folder: Path) -> Path:
    """Put a unit into a folder, with the drop-in where the drop-in itself says; return the unit."""
    copy = folder / of_unit(drop_in).name
    copy.write_text(of_unit(drop_in).read_text().replace("/opt/sealward/bin/sealward", sys.executable))
    (place,) = re.findall(r"/etc/systemd/system/(\S+\.conf)", drop_in.read_text())
    (folder / place).parent.mkdir()
    (folder / place).write_text(drop_in.read_text())
    return copy


@pytest.mark.parametrize("drop_in", DROP_INS, ids=lambda path: path.stem)
def test_systemd_accepts_a_unit_with_a_drop_in(drop_in: Path, tmp_path: Path) -> None:
    """Its secrets are handed over as the others are, and the unit is exposed no more than before."""
    copy = with_drop_in(drop_in, tmp_path)
    pairs = unit(drop_in)
    credentials = {value.partition(":")[0] for key, value in pairs if key == "LoadCredential"}

    assert said("/usr/bin/systemd-analyze", "verify", "--man=no", str(copy)) == (0, "")
    assert {key for key, _ in pairs} == {"LoadCredential", "Environment"}
    assert {value.removeprefix("%d/") for value in variables(pairs).values()} == credentials
    assert set(variables(pairs)) <= known_settings()
    assert copy.parent.joinpath(f"{copy.name}.d").is_dir()


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_every_secret_that_a_process_can_have_can_be_handed_to_its_unit(path: Path) -> None:
    """An attacker who took over a process may read each file that the user of the process may read."""
    own = {drop_in for drop_in in DROP_INS if of_unit(drop_in) == path}
    handed = {name for one in (path, *own) for name in variables(unit(one))}
    secret = {
        "sealward-api": {
            "SEALWARD_ADMIN_TOKEN_FILE",
            "SEALWARD_DATABASE_URL_FILE",
            "SEALWARD_KEYSTONE_PASSWORD_FILE",
            "SEALWARD_TLS_KEY",
        },
        "sealward-worker": {
            "SEALWARD_AUTHORITY_KEY",
            "SEALWARD_BROKER_KEY",
            "SEALWARD_BROKER_URL_FILE",
            "SEALWARD_DATABASE_URL_FILE",
            "SEALWARD_LOG_KEY",
        },
        "sealward-agent": {"SEALWARD_BROKER_KEY", "SEALWARD_BROKER_URL_FILE", "SEALWARD_JOIN_FILE"},
    }
    private = {name for name in known_settings() if re.search(r"(_FILE|_KEY)$", name)}
    public = {"SEALWARD_POLICY_FILE", "SEALWARD_KEYSTONE_CONFIG_FILE"}

    assert secret[path.stem] <= handed
    assert private - public <= set().union(*secret.values())


EXPOSED = 1.5
"""What `systemd-analyze security` may count at most. Being on the network alone is 0.8."""


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_is_exposed_no_more_than_it_has_to_be(path: Path) -> None:
    """By systemd's own count; a directive that somebody takes away shows here."""
    status, text = said("/usr/bin/systemd-analyze", "security", "--offline=yes", "--no-pager", str(path))
    (level,) = re.findall(r"Overall exposure level for \S+: ([0-9.]+)", text)

    assert status == 0
    assert float(level) <= EXPOSED, text


def one(pairs: list[tuple[str, str]], key: str) -> str:
    """Return the only value of a key; empty where there is none."""
    found = [value for name, value in pairs if name == key]
    assert len(found) <= 1, found
    return found[0] if found else ""


def test_each_process_has_a_user_and_folders_of_its_own() -> None:
    """None is another's, none is root, and systemd-sysusers makes all of them."""
    made = re.findall(r"^u (\S+) ", (ROOT / "deploy/sysusers.d/sealward.conf").read_text(), re.MULTILINE)
    units = {path.stem: unit(path) for path in UNITS}
    users = {name: one(pairs, "User") for name, pairs in units.items()}
    folders = [
        folder
        for pairs in units.values()
        for key in ("StateDirectory", "RuntimeDirectory")
        if (folder := one(pairs, key))
    ]

    assert users == {name: name for name in units}
    assert sorted(made) == sorted(users)
    assert set(folders) <= set(users)
    for name, pairs in units.items():
        for key in ("StateDirectory", "RuntimeDirectory"):
            assert one(pairs, key) in ("", name)
            assert one(pairs, f"{key}Mode") == ("0700" if one(pairs, key) else "")
        assert one(pairs, "UMask") == "0077"


def test_systemd_accepts_users_and_folders(tmp_path: Path) -> None:
    """Made in a tree of its own: three users without a shell, and a folder of secrets for root alone."""
    for kind in ("sysusers", "tmpfiles"):
        (tmp_path / f"usr/lib/{kind}.d").mkdir(parents=True)
        conf = ROOT / f"deploy/{kind}.d/sealward.conf"
        (tmp_path / f"usr/lib/{kind}.d/sealward.conf").write_text(conf.read_text())
    (tmp_path / "etc/sealward").mkdir(parents=True)
    (tmp_path / "etc/sealward/authority-key").write_text("key")
    root = f"--root={tmp_path}"
    users = said("/usr/bin/systemd-sysusers", root)
    folders = said("/usr/bin/systemd-tmpfiles", root, "--create")
    known = dict(line.split(":", 1) for line in (tmp_path / "etc/passwd").read_text().splitlines())
    modes = [(tmp_path / "etc/sealward" / name).stat().st_mode & 0o777 for name in ("", "authority-key")]

    assert users[0] == 0, users
    assert folders[0] == 0, folders
    assert {path.stem for path in UNITS} <= set(known)
    assert all(known[path.stem].endswith("nologin") for path in UNITS)
    assert modes == [0o700, 0o600]


def test_a_process_is_handed_its_own_secrets_and_no_others() -> None:
    """The authority's key to the worker, the owner's URL to `migrate`, no password of the server to any."""
    services = document()["services"]
    held = {name: set(service.get("secrets", ())) for name, service in services.items()}
    users = {
        name: service["user"].partition(":")[0] for name, service in services.items() if "user" in service
    }
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    credentials = {
        path.stem: {value.rpartition("/")[2] for key, value in unit(path) if key == "LoadCredential"}
        for path in UNITS
    }

    assert {name for name, secrets in held.items() if "authority-key" in secrets} == {"worker"}
    assert {name for name, secrets in held.items() if "owner-database-url" in secrets} == {"migrate"}
    assert held["api"] == {"api-database-url", "admin-token"} == credentials["sealward-api"]
    assert held["worker"] == {"worker-database-url", "worker-broker-url", "authority-key", "log-key"}
    assert held["worker"] == credentials["sealward-worker"]
    assert held["agent"] == {"node-broker-url", "node-join"}
    assert credentials["sealward-agent"] == {"broker-url", "join"}
    assert len({users["api"], users["worker"], users["agent"]}) == 3
    for user in set(users.values()):
        assert f"--uid {user} " in image


def test_no_process_of_compose_is_an_administrator_of_the_database(tmp_path: Path) -> None:
    """The URLs that are made name roles, and deploy/postgres makes none of them a superuser."""
    make(tmp_path, "postgresql://{user}:{password}@db", "amqp://{user}:{password}@mq", "node")
    urls = {path.name: path.read_text() for path in tmp_path.glob("*-database-url")}
    administrator = document()["services"]["postgres"]["environment"]["POSTGRES_USER"]
    made = re.findall(
        r"^CREATE ROLE (\S+) (.*)$", (ROOT / "deploy/postgres/roles.sql").read_text(), re.MULTILINE
    )
    named = {re.findall(r"//([^:]+):", url)[0] for url in urls.values()}

    assert administrator not in named
    assert named == {role for role, _ in made}
    assert all("NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION" in rights for _, rights in made)
    assert len({url.partition("@")[0].rpartition(":")[2] for url in urls.values()}) == 3  # passwords


def test_what_the_units_and_compose_call_exists(capsys: pytest.CaptureFixture[str]) -> None:
    """Each is a sub-command of this program."""
    for command in ("migrate", "api", "worker", "agent", "health"):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
    assert "usage" in capsys.readouterr().out
