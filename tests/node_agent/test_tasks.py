"""The tasks that wait for a node's answer."""

from __future__ import annotations

from running import DATABASE, WEB

from sealward.node_agent.tasks import OpenTask, OpenTasks
from sealward.protocol.desired import Desired, Duty

OF_WEB = OpenTask("one", WEB, 1)
OF_DATABASE = OpenTask("two", DATABASE, 2)
OF_NODE = OpenTask("three")


def opened() -> OpenTasks:
    """Return tasks about two servers and about the node."""
    tasks = OpenTasks()
    for one in (OF_WEB, OF_DATABASE, OF_NODE):
        tasks.add(one)
    return tasks


def test_a_task_is_open_until_it_is_answered() -> None:
    """The answer closes that task and no other; an event without a task closes none."""
    tasks = opened()
    tasks.answered(None)
    tasks.answered("unknown")
    before = list(tasks)
    tasks.answered("one")

    assert before == [OF_WEB, OF_DATABASE, OF_NODE]
    assert list(tasks) == [OF_DATABASE, OF_NODE]
    assert list(tasks.of(DATABASE)) == [OF_DATABASE]
    assert list(tasks.of(WEB)) == []


def test_a_later_order_takes_the_place_of_tasks_about_the_same() -> None:
    """An order about a server closes the tasks about the server; a switch closes those about the node."""
    tasks = opened()
    tasks.supersede(WEB)
    without_web = list(tasks)
    tasks.supersede(None)

    assert without_web == [OF_DATABASE, OF_NODE]
    assert list(tasks) == [OF_DATABASE]


def test_tasks_that_close_while_they_are_answered_are_answered_all_the_same() -> None:
    """Answering a task can close others: the round over the tasks goes on."""
    tasks = opened()
    seen = []
    for one in tasks:
        tasks.answered(one.task_id)
        tasks.answered("three")
        seen.append(one)

    assert seen == [OF_WEB, OF_DATABASE, OF_NODE]
    assert list(tasks) == []


def test_the_control_plane_names_all_open_tasks() -> None:
    """Tasks that it does not name are closed; a duty to seal is no task but an order."""
    tasks = opened()
    duties = (Duty("four", "validate", WEB), Duty("five", "activate", None), Duty("six", "sign", WEB))
    tasks.take_over(Desired(node_id=1, position=9, active=True, authority="", assignments=(), duties=duties))

    assert list(tasks) == [OpenTask("four", WEB, 0), OpenTask("five")]
