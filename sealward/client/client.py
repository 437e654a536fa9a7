"""The calls of the API, a method each. Answers are the API's JSON as dictionaries."""

from __future__ import annotations

import csv
import io
import time
from typing import TYPE_CHECKING, Any, Final

from keystoneauth1.adapter import Adapter
from keystoneauth1.session import Session
from keystoneauth1.token_endpoint import Token

from sealward.client.errors import RequestRefused
from sealward.client.feed import events_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import requests

    Record = dict[str, Any]

SERVICE_TYPE: Final = "integrity"
POLL: Final = 0.2
"""Seconds between two requests for a task that is waited for."""
NOTHING: Final[dict[str, str | int | None]] = {}
WAITED_FOR: Final = frozenset(("PENDING", "STARTED", "RETRY"))
"""States of a task that is not done."""


def connect(url: str, token: str) -> Client:
    """Return a client for the API at that URL, with a token that Sealward or Keystone has issued."""
    return Client(Session(auth=Token(url, token)))


class Client:
    """A client of the API, on a session that authenticates its requests.

    `options` are those of keystoneauth1's Adapter: region_name, interface, endpoint_override,
    global_request_id and so on. Without an endpoint_override the endpoint is the session's, or that of the
    service type `integrity` in the catalogue. Every method raises RequestRefused, and keystoneauth1's
    ClientException where there was no answer.
    """

    def __init__(self, session: Session, **options: Any) -> None:  # noqa: ANN401 - Adapter's own options
        self._adapter = Adapter(session, **{"service_type": SERVICE_TYPE, **options})

    def list_signs(
        self, *, is_valid: str | None = None, node_id: int | None = None, at: str | None = None
    ) -> list[Record]:
        """Return the signs by ascending id; `at` is a time in the past, as 2026-01-02T03:04:05Z."""
        return self._list("/sign", "signs", is_valid=is_valid, node_id=node_id, at=at)

    def show_sign(self, server_id: str, *, at: str | None = None) -> Record:
        """Return the sign of a server; `etag` is for `if_match`."""
        answer = self._ask("GET", f"/sign/{server_id}", query={"at": at})
        return _body(answer, "sign") | _etag(answer)

    def create_sign(self, server_id: str, *, node_id: int | None = None) -> Record:
        """Sign a server.

        `is_valid` is "unknown" where its node has not measured it yet; the node seals it later.
        """
        asked = {"server_id": server_id} | ({} if node_id is None else {"node_id": node_id})
        return _body(self._ask("POST", "/sign", json=asked), "sign")

    def update_sign(
        self, server_id: str, *, if_match: str | None = None, node_id: int | None = None
    ) -> Record:
        """Make a new reference of what the server is now; with `if_match` only if the sign has not changed.

        `node_id` is the node of the server. It is needed after the sign has moved without an administrator's
        order.
        """
        headers = {} if if_match is None else {"If-Match": if_match}
        asked = {"server_id": server_id} | ({} if node_id is None else {"node_id": node_id})
        answer = self._ask("PUT", "/sign", json=asked, headers=headers)
        return _body(answer, "sign")

    def update_in_doubt(self, node_id: int | None = None) -> list[Record]:
        """Sign anew all servers that a libvirt upgrade has left in doubt; return orders and tasks."""
        orders: list[Record] = []
        while True:
            answer = self._ask("POST", "/sign/in-doubt", query={"node_id": node_id}).json()
            orders += answer["orders"]
            if not answer["left"] or not answer["orders"]:
                return orders

    def delete_sign(self, server_id: str, *, if_match: str | None = None) -> None:
        """Take a server off control; its history stays."""
        headers = {} if if_match is None else {"If-Match": if_match}
        self._ask("DELETE", f"/sign/{server_id}", headers=headers)

    def validate_sign(self, server_id: str) -> str:
        """Have a server measured and compared now; return the task's id."""
        return str(self._ask("POST", f"/sign/{server_id}/validate").json()["task_id"])

    def move_sign(self, server_id: str, node_id: int) -> Record:
        """Move a sign to a node that reports the server, when the node that it is on does not run it."""
        return _body(self._ask("POST", f"/sign/{server_id}/move", json={"node_id": node_id}), "sign")

    def show_verdict(self, server_id: str, *, at: str | None = None) -> Record:
        """Return the verdict with reasons and findings; `etag` is for `if_match`."""
        answer = self._ask("GET", f"/sign/{server_id}/verdict", query={"at": at})
        return _body(answer, "verdict") | _etag(answer)

    def show_envelope(self, server_id: str, *, at: str | None = None) -> Record:
        """Return the reference in force: a DSSE envelope, signed by node and authority."""
        envelope: Record = self._ask("GET", f"/sign/{server_id}/envelope", query={"at": at}).json()
        return envelope

    def list_history(self, server_id: str) -> list[Record]:
        """Return the events about a server, with their actors and times."""
        return self._list(f"/sign/{server_id}/events", "events")

    def list_servers(self, *, signed: bool | None = None, node_id: int | None = None) -> list[Record]:
        """Return the inventory of servers, signed or not."""
        wanted = None if signed is None else str(signed).lower()
        return self._list("/server", "servers", signed=wanted, node_id=node_id)

    def list_nodes(self, *, outdated: bool | None = None) -> list[Record]:
        """Return the nodes; with `outdated` those whose agents are of an earlier version than the API."""
        wanted = None if outdated is None else str(outdated).lower()
        return self._list("/node", "nodes", outdated=wanted)

    def show_node(self, node_id: int) -> Record:
        """Return a node."""
        return _body(self._ask("GET", f"/node/{node_id}"), "node")

    def activate_node(self, node_id: int) -> str:
        """Switch validation of a node on; return the task's id."""
        return self._act(node_id, "activate")

    def deactivate_node(self, node_id: int) -> str:
        """Switch validation of a node off; return the task's id."""
        return self._act(node_id, "deactivate")

    def accept_firmware(self, node_id: int, digest: str) -> Record:
        """Accept the firmware files that a node found, if they still have that digest."""
        path = f"/node/{node_id}/firmware"
        return _body(self._ask("PUT", path, json={"digest": digest}), "node")

    def create_node(self, hostname: str, public_key: str) -> Record:
        """Let a node in under that public key (PEM): a new node, or a removed node."""
        newcomer = {"hostname": hostname, "public_key": public_key}
        return _body(self._ask("POST", "/node", json=newcomer), "node")

    def delete_node(self, node_id: int) -> None:
        """Remove a node without signs. Its agent is refused until the node is let in again."""
        self._ask("DELETE", f"/node/{node_id}")

    def replace_key(self, node_id: int, public_key: str) -> Record:
        """Replace the public key (PEM) of a node. Reports signed with the key before are refused."""
        path = f"/node/{node_id}/key"
        return _body(self._ask("PUT", path, json={"public_key": public_key}), "node")

    def list_tasks(self, *, node_id: int | None = None, limit: int | None = None) -> list[Record]:
        """Return the orders that wait for their nodes, the oldest first."""
        return self._list("/task", "tasks", node_id=node_id, limit=limit)

    def show_report(
        self, *, by: str | None = None, servers: int | None = None, **wanted: str | int | None
    ) -> Record:
        """Return the servers that are false or unknown, grouped by reason, code, finding, section or node.

        `servers` is how many servers each group names. `wanted` filters by is_valid, node_id, reason and
        section.
        """
        return _body(self._ask("GET", "/report", query={"by": by, "servers": servers, **wanted}), "report")

    def list_report(self, **wanted: str | int | None) -> Iterator[dict[str, str]]:
        """Yield a row for each finding of a server that is false or unknown, or for each reason."""
        answer = self._ask("GET", "/report", headers={"Accept": "text/csv"}, query=wanted)
        return csv.DictReader(io.StringIO(answer.content.decode(), newline=""))

    def show_task(self, task_id: str) -> Record:
        """Return a task; `state` is Celery's."""
        return _body(self._ask("GET", f"/task/{task_id}"), "task")

    def wait_for_task(self, task_id: str, timeout: float) -> Record:
        """Return a task when it is done, or its present state after that many seconds."""
        deadline = time.monotonic() + timeout
        while True:
            task = self.show_task(task_id)
            if task["state"] not in WAITED_FOR or time.monotonic() >= deadline:
                return task
            time.sleep(POLL)

    def list_events(self, *, after: int = 0, limit: int | None = None, **wanted: str | int | None) -> Record:
        """Return a page of the log: `events` (CloudEvents), `next` (where the next page begins), and `head`.

        `wanted` filters by type (several with commas), actor, name, server_id, node_id, and by the times
        since and until.
        """
        page: Record = self._ask("GET", "/events", query={"after": after, "limit": limit, **wanted}).json()
        return page

    def follow_events(self, *, after: int = 0, **wanted: str | int | None) -> Iterator[Record]:
        """Yield the events beyond a position, then new events as they come. Raises StreamBroken."""
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        return events_of(self._ask("GET", "/events", headers=headers, stream=True, query=wanted))

    def _act(self, node_id: int, action: str) -> str:
        answer = self._ask("POST", f"/sign/node/{node_id}/action", json={"action": action})
        return str(answer.json()["task_id"])

    def _list(self, path: str, name: str, **query: str | int | None) -> list[Record]:
        found: list[Record] = self._ask("GET", path, query=query).json()[name]
        return found

    def _ask(  # noqa: PLR0913 - what a request has
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        headers: dict[str, str] | None = None,
        query: Mapping[str, str | int | None] = NOTHING,
        stream: bool = False,
    ) -> requests.Response:
        answer = self._adapter.request(
            path,
            method,
            json=json,
            headers=headers or {},
            params={name: value for name, value in query.items() if value is not None},
            raise_exc=False,
            stream=stream,
        )
        if not answer.ok:
            raise _refused(answer)
        return answer


def _body(answer: requests.Response, name: str) -> Record:
    body: Record = answer.json()[name]
    return body


def _etag(answer: requests.Response) -> Record:
    return {"etag": answer.headers.get("ETag")}


def _refused(answer: requests.Response) -> RequestRefused:
    """Return the exception for an error of the API, or of a proxy in front of it."""
    request_id = answer.headers.get("X-Openstack-Request-Id")
    try:
        error = answer.json()["error"]
        return RequestRefused(answer.status_code, error["reason"], error["message"], request_id)
    except (ValueError, KeyError, TypeError):
        message = f"{answer.url} answers {answer.status_code} {answer.reason}"
        return RequestRefused(answer.status_code, "http", message, request_id)
