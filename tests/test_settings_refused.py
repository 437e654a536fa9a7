"""Settings that cannot work are refused before anything starts, and no refusal repeats a value."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import sealward

from sealward.settings import Keystone, SettingRefused, Settings
from sealward.settings.declared import declared_by
from sealward.settings.files import refuse_unreadable

ALL = [one for group in (Settings, Keystone) for one in declared_by(group)]
NAMES = [one.name for one in ALL]
DATABASE = {"SEALWARD_DATABASE_URL": "postgresql://sealward:pw@db.example/sealward"}
KEYSTONE = {"SEALWARD_AUTH": "keystone", "SEALWARD_KEYSTONE_AUTH_URL": "https://k/v3"}


def refusal(env: dict[str, str]) -> str:
    """Return why an environment is refused."""
    with pytest.raises(SettingRefused) as refused:
        Settings.from_env(env)
    return str(refused.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SEALWARD_DATABSE_URL", "SEALWARD_DATABASE_URL"),
        ("SEALWARD_DATABASE", "SEALWARD_DATABASE_URL"),
        ("SEALWARD_DB_URL", "SEALWARD_DATABASE_URL"),
        ("SEALWARD_DATABASE_URL_FIEL", "SEALWARD_DATABASE_URL_FILE"),
        ("SEALWARD_BROKER", "SEALWARD_BROKER_URL"),
        ("SEALWARD_DATADIR", "SEALWARD_DATA_DIR"),
        ("SEALWARD_LOGLEVEL", "SEALWARD_LOG_LEVEL"),
        ("SEALWARD_KEYSTONE_USER", "SEALWARD_KEYSTONE_USERNAME"),
        ("sealward_database_url", "SEALWARD_DATABASE_URL"),
        ("SEALWARDDATABASE_URL", "SEALWARD_DATABASE_URL"),
        ("SEALWRD_DATABASE_URL", "SEALWARD_DATABASE_URL"),
        ("SEAL_WARD_DATABASE_URL", "SEALWARD_DATABASE_URL"),
        ("SEALWARD-DATABASE-URL", "SEALWARD_DATABASE_URL"),
    ],
)
def test_a_misspelt_name_is_refused_with_the_right_one(name: str, meant: str) -> None:
    """Else the default would be in force: a file in the data directory in the place of the database."""
    found = refusal({name: "x"})

    assert "did you mean" in found
    assert meant in found.split("did you mean")[1].rstrip("?").split()


@pytest.mark.parametrize("name", ["SEALWARD_QQQQ", "SEALWARD_XYZZY_1"])
def test_a_name_like_no_other_is_refused(name: str) -> None:
    """The message says where the names are."""
    assert "sealward settings" in refusal({name: "x"})


@given(st.sampled_from(NAMES), st.integers(0, 60), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ_"))
def test_a_name_with_a_wrong_letter_is_refused(name: str, where: int, letter: str) -> None:
    """Whichever letter of whichever setting."""
    at = len("SEALWARD_") + where % (len(name) - len("SEALWARD_"))
    written = name[:at] + letter + name[at + 1 :]
    if written not in NAMES:
        assert "no such setting" in refusal({written: "x"})


def test_what_is_no_secret_is_not_read_from_a_file() -> None:
    """The message says so: the name differs by its end alone."""
    assert "SEALWARD_LISTEN is no secret" in refusal({"SEALWARD_LISTEN_FILE": "/etc/listen"})


@pytest.mark.parametrize(
    "name",
    [
        "SEALWARD_SERVICE_HOST",
        "SEALWARD_PORT",
        "SEALWARD_API_PORT_9362_TCP_ADDR",
        "SEALWARD_API_SERVICE_PORT_HTTPS",
        "SEALWARD_URL",
        "SEALWARD_TOKEN_FILE",
        "SEALWARD_TEST_RABBITMQ",
        "SEAFILE_DATABASE_URL",
        "DATABASE_URL",
        "PATH",
    ],
)
def test_variables_of_others_are_theirs(name: str) -> None:
    """Kubernetes sets such variables for a service named sealward; clients and tests have theirs."""
    assert Settings.from_env({name: "x"}) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("SEALWARD_DATABASE_URL", "postgresql+psycopg://u:pw@h/db", "postgresql://"),
        ("SEALWARD_DATABASE_URL", "mysql://u:pw@h/db", "postgresql://"),
        ("SEALWARD_DATABASE_URL", "sqlite:///var/log.sqlite", "postgresql://"),
        ("SEALWARD_DATABASE_URL", "host=h password=pw", "postgresql://"),
        ("SEALWARD_DATABASE_URL", "postgresql:u:pw@h/db", "postgresql://"),
        ("SEALWARD_DATABASE_URL", "db.example", "postgresql://"),
        ("SEALWARD_BROKER_URL", "http://u:pw@h", "amqp://"),
        ("SEALWARD_BROKER_URL", "rabbitmq://u:pw@h", "amqp://"),
        ("SEALWARD_BROKER_URL", "redis://:pw@h", "amqp://"),
        ("SEALWARD_BROKER_URL", "memory://", "amqp://"),
        ("SEALWARD_LIBVIRT_URI", "http://h", "qemu"),
        ("SEALWARD_LIBVIRT_URI", "/var/run/libvirt/libvirt-sock", "qemu"),
        ("SEALWARD_LIBVIRT_URI", "qemu+tcp://u:pw@h/system", "without a password"),
        ("SEALWARD_PUBLIC_URL", "ftp://h", "https://"),
        ("SEALWARD_PUBLIC_URL", "https://u:pw@h", "without user and password"),
        ("SEALWARD_DATABASE_URL", "postgresql://u:p@w@h/db", "%40"),
        ("SEALWARD_DATABASE_URL", "postgresql://u:p/w@h/db", "%2F"),
        ("SEALWARD_DATABASE_URL", "postgresql://u:p#w@h/db", "%23"),
        ("SEALWARD_DATABASE_URL", "postgresql://u:p?w@h/db", "%3F"),
        ("SEALWARD_BROKER_URL", "amqp://u:p@w@h/%2F", "%40"),
        ("SEALWARD_DATABASE_URL", "postgresql://[::1/db", "no URL"),
        ("SEALWARD_DATABASE_URL", "'postgresql://u:pw@h/db'", "quotation marks"),
        ("SEALWARD_ADMIN_TOKEN", '"token"', "quotation marks"),
        ("SEALWARD_ADMIN_TOKEN", " token", "spaces"),
        ("SEALWARD_GATE_SOCKET", "/" + "x" * 107, "107 bytes"),
    ],
)
def test_a_value_of_another_kind_is_refused(name: str, value: str, taken: str) -> None:
    """The message names the setting and what it takes."""
    message = refusal({name: value})

    assert message.startswith(name)
    assert taken in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SEALWARD_DATABASE_URL", "postgresql://u:p%40w@h1:5432,h2:5433/db?sslmode=verify-full"),
        ("SEALWARD_DATABASE_URL", "postgres://u@/db?host=/run/postgresql"),
        ("SEALWARD_DATABASE_URL", "postgresql://u@%2Frun%2Fpostgresql/db"),
        ("SEALWARD_DATABASE_URL", "postgresql://u:p@[2001:db8::1]:5432/db"),
        ("SEALWARD_DATABASE_URL", "postgresql:///db"),
        ("SEALWARD_BROKER_URL", "amqps://node-a:pw@mq.example:5671/%2F"),
        ("SEALWARD_LIBVIRT_URI", "qemu:///system"),
        ("SEALWARD_LIBVIRT_URI", "qemu+unix:///system?socket=/run/libvirt/libvirt-sock-ro"),
        ("SEALWARD_LIBVIRT_URI", "qemu+ssh://root@kvm1/system"),
        ("SEALWARD_LIBVIRT_URI", "test:///default"),
        ("SEALWARD_PUBLIC_URL", "https://sealward.example:9362/"),
    ],
)
def test_what_works_is_taken(name: str, value: str) -> None:
    """As PostgreSQL, RabbitMQ and libvirt write it in their manuals."""
    Settings.from_env({name: value})


@pytest.mark.parametrize(
    ("env", "why"),
    [
        ({"SEALWARD_FRESH_FOR": "60", "SEALWARD_SWEEP_INTERVAL": "60"}, "SEALWARD_FRESH_FOR must be longer"),
        ({"SEALWARD_FRESH_FOR": "30"}, "SEALWARD_FRESH_FOR must be longer"),
        (
            DATABASE | {"SEALWARD_DATABASE_URL_FILE": "/x"},
            "SEALWARD_DATABASE_URL and SEALWARD_DATABASE_URL_FILE",
        ),
        (
            {"SEALWARD_ADMIN_TOKEN": "t", "SEALWARD_ADMIN_TOKEN_FILE": "/x"},
            "SEALWARD_ADMIN_TOKEN and SEALWARD_ADMIN_TOKEN_FILE",
        ),
        ({"SEALWARD_BROKER_CERTIFICATE": "/x"}, "set both"),
        ({"SEALWARD_BROKER_CA": "/x", "SEALWARD_BROKER_URL": "amqp://h"}, "amqps://"),
        ({"SEALWARD_TLS_KEY": "/x"}, "set both"),
        ({"SEALWARD_LIBVIRT_RW_URI": "qemu:///system"}, "set SEALWARD_LIBVIRT_URI"),
        ({"SEALWARD_KEYSTONE_AUTH_URL": "https://k/v3"}, "SEALWARD_AUTH=keystone"),
        (
            KEYSTONE | {"SEALWARD_KEYSTONE_CONFIG_FILE": "/x", "SEALWARD_KEYSTONE_PASSWORD": "pw"},
            "takes the place",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(env: dict[str, str], why: str) -> None:
    """Each alone may be right."""
    assert why in refusal(env)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "shape", ["{}", "x://u:{}@h/db", "u:{}@h", "/srv/{}/x", "postgresql://u:{}@@h", "'{}'"]
)
def test_no_refusal_repeats_a_value(name: str, shape: str) -> None:
    """Any variable can hold a password: by its meaning, or because two lines were mixed up."""
    mark = "S3cr3t-of-the-test"
    for written in (name, f"{name}_FILE", f"{name}X"):
        why = refused_for({"SEALWARD_AUTH": "keystone", written: shape.format(mark)})
        assert mark not in str(why)
        assert why is None or why.__cause__ is None


def refused_for(env: dict[str, str]) -> SettingRefused | None:
    """Return the refusal of an environment, if it is refused."""
    try:
        refuse_unreadable(Settings.from_env(env))
    except SettingRefused as refused:
        return refused
    return None


MARK = "S3cr3t-of-the-test"
SECRETS = {
    "SEALWARD_DATABASE_URL": f"postgresql://sealward:{MARK}@127.0.0.1:1/sealward",
    "SEALWARD_BROKER_URL": f"amqp://sealward:{MARK}@127.0.0.1:1/%2F",
    "SEALWARD_ADMIN_TOKEN": MARK,
    "SEALWARD_TOKEN": MARK,
}
COMMANDS = [
    ("api",),
    ("worker",),
    ("migrate",),
    ("health",),
    ("replay",),
    ("run",),
    ("config", "check"),
    ("settings",),
    ("dead-letters", "list"),
    ("events", "set-aside", "list"),
    ("token", "issue", "name", "--role", "reader"),
    ("token", "list"),
    ("node", "uninvite", "kvm1"),
    ("audit", "export", "exported"),
    ("audit", "policy"),
    ("subscribe", "--url", "http://127.0.0.1:1", "--from", "now"),
]
ASK_THE_BROKER = {"dead-letters"}
ASK_THE_DATABASE = {"api", "worker", "migrate", "health", "replay", "events", "token", "node", "audit"}


def ended(folder: Path, words: tuple[str, ...], env: dict[str, str]) -> str:
    """Run a sub-command to its end, or until it is clear that it has none; return all that it printed."""
    try:
        done = sealward(folder, *words, **env)
    except subprocess.TimeoutExpired as running:
        return f"{running.stdout!r}{running.stderr!r}"
    return done.stdout + done.stderr


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_that_cannot_connect_names_setting_and_host(tmp_path: Path, words: tuple[str, ...]) -> None:
    """And nothing of the password, neither in the message nor in a traceback."""
    said = ended(tmp_path, words, SECRETS)

    assert MARK not in said
    assert "Traceback" not in said
    if words[0] in ASK_THE_DATABASE:
        assert "127.0.0.1:1 (SEALWARD_DATABASE_URL)" in said
    if words[0] in ASK_THE_BROKER:
        assert "127.0.0.1:1 (SEALWARD_BROKER_URL)" in said


def test_an_unknown_parameter_of_the_url_is_no_leak(tmp_path: Path) -> None:
    """Libpq repeats the whole URL in some of its errors."""
    url = SECRETS["SEALWARD_DATABASE_URL"] + "?sslmod=require"
    said = ended(tmp_path, ("migrate",), {"SEALWARD_DATABASE_URL": url})

    assert "SEALWARD_DATABASE_URL" in said
    assert MARK not in said


def test_config_check_says_what_is_wrong_and_what_is_set(tmp_path: Path) -> None:
    """Its status is that of a command that could not be done."""
    fine = sealward(tmp_path, "config", "check", **SECRETS)
    wrong = sealward(tmp_path, "config", "check", SEALWARD_DATABSE_URL="x")
    missing = sealward(tmp_path, "config", "check", SEALWARD_POLICY_FILE="/nowhere/policy.yaml")

    assert (fine.returncode, wrong.returncode, missing.returncode) == (0, 2, 2)
    assert "SEALWARD_DATABASE_URL" in fine.stdout
    assert "did you mean SEALWARD_DATABASE_URL or" in wrong.stderr
    assert "SEALWARD_POLICY_FILE: the file cannot be read: No such file or directory" in missing.stderr


def test_a_misspelt_database_makes_no_token_in_a_file(tmp_path: Path) -> None:
    """The token would be good for nothing, and the exit status said that all was well."""
    done = sealward(
        tmp_path, "token", "issue", "name", "--role", "admin", SEALWARD_DATABASE_ULR="postgresql://h/d"
    )

    assert done.returncode == 2
    assert not (tmp_path / "data").exists()
