"""`sealward demo`: a tour of the main job on the sample fleet; every call goes over HTTP, by curl."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sealward.cli.refusal import Refusal
from sealward.settings import Settings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from sealward.node_agent.hypervisor.fleet import SampleFleet

WEB: Final = "bdfe7b89-4d44-4edb-af5a-de8733aa3eba"
DATABASE: Final = "ee57ad11-5c74-4e49-bf2d-46858570b3a1"
PATIENCE: Final = 10.0
"""Seconds that the tour waits for an answer which takes milliseconds."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command."""
    demo = commands.add_parser(
        "demo",
        help="a tour on a sample fleet: sign, change, detect, re-sign, replay",
        description="Show the main job in a process of its own, on libvirt's test driver. No data is kept.",
    )
    demo.set_defaults(run=_demo)


def _demo(args: argparse.Namespace) -> int:
    del args
    from sealward.embedded import Embedded

    if shutil.which("curl") is None:
        raise Refusal("the tour needs curl: apt-get install curl")
    with tempfile.TemporaryDirectory(prefix="sealward-demo-") as folder:
        token = secrets.token_urlsafe(24)
        embedded = Embedded(Settings(listen=("127.0.0.1", 0), data_dir=Path(folder), admin_token=token))
        embedded.start()
        try:
            if not embedded.wait_ready(PATIENCE):
                raise Refusal("the node did not report its servers")
            _tour(Client(embedded.listener.url, token, Path(folder)), embedded.fleet)
        finally:
            embedded.stop()
    print("That was the tour; nothing of it is kept. `make run` starts the same to stay.")
    return 0


def _tour(client: Client, fleet: SampleFleet) -> None:
    _sign(client)
    _change(client, fleet)
    _activate(client)
    _prove(client)


def _sign(client: Client) -> None:
    _say("Which servers are not under control yet?")
    client.call("GET", "/v1/server?signed=false&limit=2")
    _say("Sign two of them: the node measures, node and authority seal, and the answer says so.")
    for server_id in (DATABASE, WEB):
        signed = client.call("POST", "/v1/sign", {"server_id": server_id})
        _expect(signed["sign"]["is_valid"], "true")
    _say("All signs.")
    client.call("GET", "/v1/sign")


def _change(client: Client, fleet: SampleFleet) -> None:
    _say("Somebody gives a signed server another disk, behind the control plane's back.")
    print(f"(libvirt: domain {WEB} is defined anew with another disk)")
    began = time.monotonic()
    fleet.replace(WEB, f"{WEB}/disk", f"{WEB}/other-disk")
    client.wait(f"/v1/sign/{WEB}", lambda answer: answer["sign"]["is_valid"] == "false")
    print(f"(known {1000 * (time.monotonic() - began):.0f} ms later)\n")
    verdict = client.call("GET", f"/v1/sign/{WEB}/verdict")
    for one in verdict["verdict"]["findings"]:
        print(f"(in {one['section']}, {one['xpath']}: {one['signed']} -> {one['found']})\n")
    _say("The administrator has looked at it and wants it so: a new reference.")
    _expect(client.call("PUT", "/v1/sign", {"server_id": WEB})["sign"]["is_valid"], "true")


def _activate(client: Client) -> None:
    _say("Switch validation of the node on; the task says what the node found.")
    done = client.call("POST", "/v1/sign/node/1/action", {"action": "activate"})
    task = f"/v1/task/{done['task_id']}"
    client.wait(task, lambda answer: answer["task"]["state"] == "SUCCESS")
    client.call("GET", task)


def _prove(client: Client) -> None:
    _say("The history of the server: actor and time of the first order, and the latest verdicts.")
    client.call("GET", f"/v1/sign/{WEB}/events?limit=2")
    _say("The reference is an envelope that anyone can verify with the public keys alone.")
    envelope = client.folder / "envelope.json"
    envelope.write_text(json.dumps(client.get(f"/v1/sign/{WEB}/envelope")), encoding="utf-8")
    client.sealward("verify", "envelope.json", "--key", "authority.pub", "--key", "node/key.pub")
    _say("All rows are derived from the log: build them anew, and compare.")
    client.sealward("replay")


@dataclass(frozen=True, slots=True)
class Client:
    """Calls the API with curl, runs sub-commands, and prints each call with its answer."""

    url: str
    token: str
    folder: Path

    def call(self, method: str, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        """Call the API; print the call and the answer."""
        more = [] if body is None else ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
        shown = "".join(f" {one if one.startswith('-') else shlex.quote(one)}" for one in more)
        print(f'$ curl -X {method} -H "X-Auth-Token: $token"{shown} "{self.url}{path}"')
        answer = self._curl(method, path, more)
        print(json.dumps(answer, indent=2) + "\n", flush=True)
        return answer

    def get(self, path: str) -> dict[str, Any]:
        """GET a path without printing anything."""
        return self._curl("GET", path, [])

    def wait(self, path: str, done: Callable[[dict[str, Any]], bool]) -> None:
        """GET a path until `done` accepts the answer. Raises Refusal after `PATIENCE` seconds."""
        end = time.monotonic() + PATIENCE
        while not done(self.get(path)):
            if time.monotonic() > end:
                raise Refusal(f"GET {path} did not become what the tour waits for")

    def sealward(self, *words: str) -> None:
        """Run a sub-command on the tour's data directory. Raises Refusal when the sub-command fails."""
        print(f"$ sealward {' '.join(words)}", flush=True)
        done = subprocess.run(  # noqa: S603 - this interpreter, with our own arguments
            [sys.executable, "-m", "sealward", *words],
            cwd=self.folder,
            env=os.environ | {"SEALWARD_DATA_DIR": str(self.folder)},
            timeout=60,
            check=False,
        )
        _expect(str(done.returncode), "0")
        print(flush=True)

    def _curl(self, method: str, path: str, more: list[str]) -> dict[str, Any]:
        line = ["curl", "-s", "-X", method, "-H", f"X-Auth-Token: {self.token}", *more, f"{self.url}{path}"]
        done = subprocess.run(line, capture_output=True, timeout=PATIENCE, check=False)  # noqa: S603 - as above
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError as unreadable:
            raise Refusal(f"{method} {path}: no JSON in {done.stdout!r} {done.stderr!r}") from unreadable
        return answer


def _say(text: str) -> None:
    print(f"== {text}", flush=True)


def _expect(found: str, wanted: str) -> None:
    if found != wanted:
        raise Refusal(f"the tour expected {wanted!r} and found {found!r}")
