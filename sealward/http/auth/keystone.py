"""Tokens of Keystone, checked by keystonemiddleware's auth_token.

auth_token is asked as the WSGI middleware that it is, with the token and the request line alone: nothing that
a client says of itself can get into its answer, and errors keep this API's form. Its answer is a status, and
`keystone.token_info`, what Keystone says of the token
(https://docs.openstack.org/keystonemiddleware/latest/middlewarearchitecture.html).
"""

from __future__ import annotations

import importlib.util
import logging
import re
import threading
from typing import TYPE_CHECKING, Any, Final

import msgspec
from keystoneauth1.exceptions import ClientException
from keystonemiddleware.auth_token import AuthProtocol, list_opts
from keystonemiddleware.exceptions import ConfigurationError
from oslo_config import cfg

from sealward.events import typed
from sealward.events.base import Origin
from sealward.http.auth.identity import MAX_TOKEN, Identity
from sealward.http.operation.errors import Problem
from sealward.settings import SettingRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import falcon

    from sealward.events.store.round_trip import Along
    from sealward.settings import Keystone

log = logging.getLogger(__name__)

SERVICE_TYPE: Final = "integrity"
TOKEN: Final = re.compile(f"[!-~]{{1,{MAX_TOKEN}}}")
"""What can be a token at all: nothing that could end a header."""
GOOD: Final = "204 No Content"
TIMEOUT: Final = 5
"""Seconds that Keystone may take to answer."""
AT_ONCE: Final = 4
"""Questions to Keystone at the same time: a quarter of the threads that serve HTTP."""
IMPATIENCE: Final = 0.5
"""Seconds that a request waits for its turn."""
PASSED: Final = (
    "REQUEST_METHOD",
    "SCRIPT_NAME",
    "PATH_INFO",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
    "HTTP_X_AUTH_TOKEN",
    "wsgi.url_scheme",
)
"""What auth_token gets to see: the request line is for the access rules of application credentials."""
UNAVAILABLE: Final = "Keystone does not answer, so your token cannot be checked now; try again in a moment."


class Named(msgspec.Struct, frozen=True):
    """Something with a name."""

    name: str


class Numbered(msgspec.Struct, frozen=True):
    """Something with an id."""

    id: str


class User(msgspec.Struct, frozen=True):
    """A user."""

    id: str
    name: str


class Token(msgspec.Struct, frozen=True):
    """What Keystone says of a token: https://docs.openstack.org/api-ref/identity/v3/."""

    user: User
    roles: tuple[Named, ...] = ()
    project: Numbered | None = None
    system: dict[str, bool] = msgspec.field(default_factory=dict)


class KeystoneTokens:
    """Tokens that Keystone has issued."""

    advice = "`openstack token issue` gives one"

    def __init__(self, settings: Keystone) -> None:
        if settings.memcached and importlib.util.find_spec("memcache") is None:
            raise SettingRefused("SEALWARD_KEYSTONE_MEMCACHED needs python-memcached, which is not installed")
        try:
            configuration = _configuration(settings)
            self._auth_token = AuthProtocol(_good, configuration | _options(settings))
        except (cfg.Error, ClientException, ConfigurationError) as refused:
            raise SettingRefused(f"SEALWARD_KEYSTONE_…: {refused}") from refused
        public_url = settings.public_url or settings.auth_url
        if public_url is None:
            public_url = configuration["oslo_config_config"].keystone_authtoken.www_authenticate_uri
        if public_url is None:
            raise SettingRefused(f"{settings.config_file}: [keystone_authtoken] needs www_authenticate_uri")
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self.challenge = f'Keystone uri="{public_url}"'

    def who(self, req: falcon.Request, along: Along | None = None) -> Identity | None:
        """Return whose token the request has. Raises Problem 503 when Keystone cannot be asked."""
        del along  # Keystone has no such rows
        secret = req.get_header("X-Auth-Token") or ""
        if not TOKEN.fullmatch(secret):
            return None
        env: dict[str, Any] = {name: req.env[name] for name in PASSED if name in req.env}
        status = self._ask_in_turn(env)
        if status == GOOD:
            return _identity(env["keystone.token_info"])
        if status.startswith("401"):
            return None
        log.error("Keystone could not be asked: %s (%s)", status, req.context.request_id)
        raise Problem(503, "auth.unavailable", UNAVAILABLE)

    def _ask_in_turn(self, env: dict[str, Any]) -> str:
        """Ask unless many are waiting already: a Keystone that hangs must not take all threads."""
        if not self._turns.acquire(timeout=IMPATIENCE):
            return "too many wait for it"
        try:
            return self._ask(env)
        finally:
            self._turns.release()

    def _ask(self, env: dict[str, Any]) -> str:
        """Return the status of auth_token's answer."""
        answers: list[str] = []

        def start_response(status: str, _headers: object, _error: object = None) -> Callable[[bytes], object]:
            answers.append(status)
            return bytes

        try:
            list(self._auth_token(env, start_response))
        except ClientException as failed:
            return f"{type(failed).__name__}: {failed}"
        return answers[0]


def _good(
    _env: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]
) -> Iterable[bytes]:
    """Be the application that only a good token reaches."""
    start_response(GOOD, [])
    return ()


def _identity(found: dict[str, Any]) -> Identity:
    token = typed.convert(found["token"], Token)
    return Identity(
        token.user.name,
        frozenset(role.name for role in token.roles),
        everywhere=token.system.get("all", False),
        origin=Origin(user_id=token.user.id, project_id=token.project.id if token.project else None),
    )


def _configuration(settings: Keystone) -> dict[str, Any]:
    """Return the options of the file, if there is one, and those that nobody may choose."""
    files = [] if settings.config_file is None else [str(settings.config_file)]
    configuration = cfg.ConfigOpts()
    configuration([], project="sealward", default_config_files=files, default_config_dirs=[])
    for group, options in list_opts():
        configuration.register_opts(options, group=group)
    configuration.set_default("token_cache_time", -1, group="keystone_authtoken")
    return {
        "oslo_config_config": configuration,
        "delay_auth_decision": False,
        "service_type": SERVICE_TYPE,
    }


def _options(settings: Keystone) -> dict[str, Any]:
    """Return what the settings say, in auth_token's words."""
    if settings.config_file is not None:
        return {}
    given = {
        "auth_type": "password",
        "auth_url": settings.auth_url,
        "www_authenticate_uri": settings.public_url or settings.auth_url,
        "username": settings.username,
        "password": settings.password,
        "user_domain_name": settings.user_domain,
        "project_name": settings.project,
        "project_domain_name": settings.project_domain,
        "region_name": settings.region,
        "interface": settings.interface,
        "cafile": None if settings.ca is None else str(settings.ca),
        "memcached_servers": list(settings.memcached) or None,
        "token_cache_time": int(settings.cache_time) or -1,
        "http_connect_timeout": TIMEOUT,
        "http_request_max_retries": 1,
    }
    return {name: value for name, value in given.items() if value is not None}
