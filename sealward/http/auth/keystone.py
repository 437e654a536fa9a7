"""Checks tokens of Keystone by keystonemiddleware's auth_token.

auth_token is WSGI middleware. Here it is called with a WSGI environment that holds the token and the request
line alone, so that no other header of a client can influence it, and errors keep the form that this API gives
them. auth_token answers with a status and, for a valid token, puts Keystone's description of the token into
`keystone.token_info` (https://docs.openstack.org/keystonemiddleware/latest/middlewarearchitecture.html).
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

    from sealward.events.store.round_trip import Prefetch
    from sealward.settings import Keystone

log = logging.getLogger(__name__)

SERVICE_TYPE: Final = "integrity"
TOKEN: Final = re.compile(f"[!-~]{{1,{MAX_TOKEN}}}")
"""The form of a token: printable ASCII, so that a token cannot end its header."""
GOOD: Final = "204 No Content"
TIMEOUT: Final = 5
"""Seconds to wait for an answer of Keystone."""
AT_ONCE: Final = 4
"""Requests to Keystone at the same time: a quarter of the threads that serve HTTP."""
IMPATIENCE: Final = 0.5
"""Seconds that an API request waits while AT_ONCE requests to Keystone are under way."""
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
"""The WSGI variables that auth_token gets.

The request line is for access rules of application credentials.
"""
PART: Final = "Keystone"
"""The name under which `absences` knows that Keystone is away."""
UNAVAILABLE: Final = "Keystone does not answer, so your token cannot be checked now; try again in a moment."


class Named(msgspec.Struct, frozen=True):
    """A role in Keystone's description of a token: its name."""

    name: str


class Numbered(msgspec.Struct, frozen=True):
    """A project in Keystone's description of a token: its id."""

    id: str


class User(msgspec.Struct, frozen=True):
    """The user in Keystone's description of a token."""

    id: str
    name: str


class Token(msgspec.Struct, frozen=True):
    """Keystone's description of a token: https://docs.openstack.org/api-ref/identity/v3/."""

    user: User
    roles: tuple[Named, ...] = ()
    project: Numbered | None = None
    system: dict[str, bool] = msgspec.field(default_factory=dict)


class KeystoneTokens:
    """Checks tokens that Keystone has issued. Raises SettingRefused for settings that auth_token refuses."""

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
        self._remembers = settings.cache_time > 0 or settings.config_file is not None
        """Whether a good token may pass without Keystone being asked."""
        self.challenge = f'Keystone uri="{public_url}"'

    def who(self, req: falcon.Request, prefetch: Prefetch | None = None) -> Identity | None:
        """Return the user whose token the request has. Raises Problem 503 when Keystone does not answer."""
        del prefetch  # no query of the database is needed for the token
        secret = req.get_header("X-Auth-Token") or ""
        if not TOKEN.fullmatch(secret):
            return None
        env: dict[str, Any] = {name: req.env[name] for name in PASSED if name in req.env}
        status = self._ask_in_turn(env)
        if not self._remembers and (status == GOOD or status.startswith("401")):
            log.info("Keystone answers again", extra={"back": PART})
        if status == GOOD:
            return _identity(env["keystone.token_info"])
        if status.startswith("401"):
            return None
        text = "Keystone could not be asked: %s (%s)"
        log.error(text, status, req.context.request_id, extra={"away": PART})
        raise Problem(503, "auth.unavailable", UNAVAILABLE)

    def _ask_in_turn(self, env: dict[str, Any]) -> str:
        """Check a token in AT_ONCE threads at most: a Keystone that hangs must not take all threads."""
        if not self._turns.acquire(timeout=IMPATIENCE):
            return "too many requests wait for Keystone"
        try:
            return self._ask(env)
        finally:
            self._turns.release()

    def _ask(self, env: dict[str, Any]) -> str:
        """Return the status with which auth_token answers."""
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
    """The WSGI application behind auth_token: it is called for valid tokens alone."""
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
    """Return the options of SEALWARD_KEYSTONE_CONFIG_FILE, if set, and the fixed options."""
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
    """Return Sealward's settings under the names of auth_token's options."""
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
