"""One Celery client floods the real broker with orders: the orders of another client are carried out."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from celery import Celery
from running import until

from stack.processes import end
from stack.sealward import Stack

pytestmark = pytest.mark.alone  # a flood; and a worker that waits too long begins quotas anew
FLOODER = Path(__file__).parents[1] / "flooder.py"
EVIL, HONEST, OTHER = "celery-evil", "celery-honest", "celery-other"


@pytest.fixture(scope="module")
def stack(attacked: Stack) -> Stack:
    """Return the topology with three Celery clients; two have inboxes of their own."""
    for user in (EVIL, HONEST, OTHER):
        inbox = r"sealward\.orders" + ("" if user == OTHER else rf"\.{user}")
        attacked.rabbitmq.ctl("add_user", user, "secret")
        attacked.rabbitmq.ctl("set_permissions", user, "^$", f"^{inbox}$", "^$")
    return attacked


def send(stack: Stack, user: str, inbox: str) -> str:
    """Give an order as a stock Celery client; return its task id."""
    url = stack.rabbitmq.url.replace("guest:guest", f"{user}:secret")
    task_id = str(uuid.uuid4())
    app = Celery(user, broker=url)
    app.conf.broker_transport_options = {"confirm_publish": True}
    kwargs = {"node_id": 1, "action": "activate"}
    where = {"exchange": inbox, "routing_key": inbox, "declare": []}
    app.send_task("sealward.node_action", kwargs=kwargs, task_id=task_id, ignore_result=True, **where)
    app.close()
    return task_id


def seconds(stack: Stack, user: str, inbox: str) -> float:
    """Return the seconds until an order of a client is a task that the API knows."""
    began = time.monotonic()
    task_id = send(stack, user, inbox)
    until(lambda: stack.ask("GET", f"/v1/task/{task_id}")[0] == 200, 30)
    return time.monotonic() - began


def dead_letters(stack: Stack) -> int:
    """Return how many messages lie with the dead letters."""
    found = stack.rabbitmq.ctl("list_queues", "name", "messages").split()
    return int(found[found.index("sealward.dead-letters") + 1])


def test_the_orders_of_others_are_carried_out(stack: Stack) -> None:
    """Those of a client with its own inbox, and those in the inbox that the others share."""
    before, head = dead_letters(stack), stack.ask("GET", "/healthcheck?detailed")[1]["head"]
    name = f"sealward.orders.{EVIL}"
    url = stack.rabbitmq.url.replace("guest:guest", f"{EVIL}:secret")
    flooding = subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, str(FLOODER), url, name, EVIL, "500"], stderr=subprocess.DEVNULL
    )
    try:
        time.sleep(2)
        took = [seconds(stack, HONEST, f"sealward.orders.{HONEST}") for _ in range(6)]
        took += [seconds(stack, OTHER, "sealward.orders") for _ in range(6)]
        assert flooding.poll() is None
    finally:
        end(flooding)
    print(f"an order is a task after {sorted(took)[6]:.2f} s, {max(took):.2f} s at most")
    assert max(took) < 5
    events = stack.ask("GET", f"/v1/events?type=node.activated&limit=1000&after={head}")[1]["events"]
    assert {one["data"]["actor"] for one in events} == {"user:celery", f"user:celery/{HONEST}"}
    assert dead_letters(stack) - before < 2_000


def test_nobody_gives_orders_by_the_inbox_of_another(stack: Stack) -> None:
    """The broker refuses it."""
    with pytest.raises(Exception, match="ACCESS_REFUSED"):
        send(stack, EVIL, f"sealward.orders.{HONEST}")
    with pytest.raises(Exception, match="ACCESS_REFUSED"):
        send(stack, EVIL, "sealward.orders")
