"""Metrics for Prometheus: counts of this process, and the state of the whole control plane.

https://prometheus.io/docs/practices/naming. Every API process reports the same about the control plane, which
it reads from the database, so that workers need no listener. No label names a user, a project, a client or a
server. Labels name nodes only for requests with a token that allows it; without a token there are numbers
alone.
"""

from __future__ import annotations

import threading
import time
from collections import Counter as Counted
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from sealward.control.unproven import REASONS
from sealward.events.is_valid import IsValid
from sealward.events.store.store import StoreUnavailable
from sealward.events.version import is_older, own
from sealward.events.wire.codec import EVENTS
from sealward.http.auth.access import LOOKS, Rule
from sealward.http.operation.operation import Answer, Operation
from sealward.http.operation.parameter import flag
from sealward.projections.task_state import TaskState

if TYPE_CHECKING:
    from collections.abc import Iterator

    import falcon
    from prometheus_client.core import Metric

    from sealward.control.monitoring import Monitor, NodeStatus, Status
    from sealward.http.listening.traffic import Traffic

SHOW_METRICS: Final = Rule("metrics:show", "Read the metrics with the nodes' names.", LOOKS)
DETAILED: Final = flag("detailed", "Name the nodes; needs a token.", SHOW_METRICS)
FRESH: Final = 2.0
"""Seconds for which the state that was read is reused, so that frequent requests cost no more."""
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
PARTS: Final = ("projections", "relay", "celery", "teller", "decisions", "node")
"""The parts that follow the log and may set events aside; all nodes count as one part."""


class Metrics:
    """`/metrics`, with a registry of its own."""

    def __init__(self, monitor: Monitor, traffic: Traffic, *, public: bool) -> None:
        self._public = public
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "sealward_http_requests",
            "Requests answered, by route and status.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "sealward_http_request_duration_seconds",
            "How long requests took, by route.",
            ("method", "route"),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        ProcessCollector(registry=self._registry)
        status = _StatusCache(monitor)
        self._registry.register(_ControlPlane(status))
        self._registry.register(_Served(traffic))
        self._names = CollectorRegistry()
        self._names.register(_Nodes(status))

    def operations(self) -> list[Operation]:
        """Return the calls."""
        text = {200: Answer(str, CONTENT_TYPE_PLAIN_0_0_4)}
        return [
            Operation(
                "GET",
                "/metrics",
                self.show,
                text,
                rule=None if self._public else SHOW_METRICS,
                query=(DETAILED,),
                bare=True,
            )
        ]

    def show(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Give the metrics in Prometheus' text format. The metrics of each node need a token."""
        resp.content_type = CONTENT_TYPE_PLAIN_0_0_4
        resp.data = generate_latest(self._registry)
        if req.context.get("identity") is not None:
            resp.data += generate_latest(self._names)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        count, durations = self._of(method, route, status)
        count.inc()
        durations.observe(seconds)

    def _of(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        """Return the counters of requests with these labels.

        The counters are kept, because looking labels up costs more than counting.
        """
        known = self._known.get((method, route, status))
        if known is None:
            known = self._requests.labels(method, route, str(status)), self._seconds.labels(method, route)
            self._known[method, route, status] = known
        return known


class _StatusCache:
    """The state of the control plane, read at most every FRESH seconds."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._lock = threading.Lock()
        self._known: tuple[float, Status] | None = None

    def fresh(self) -> Status:
        """Return the state, not older than FRESH. Raises StoreUnavailable."""
        with self._lock:
            now = time.monotonic()
            if self._known is None or now - self._known[0] > FRESH:
                self._known = (now, self._monitor.status())
            return self._known[1]


class _ControlPlane:
    """The metrics of the control plane, without names of nodes."""

    def __init__(self, status: _StatusCache) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; without the store, only its absence and the version of this process."""
        yield _gauge("build_info", "The version of this process.", {own(): 1}, "version")
        try:
            found = self._status.fresh()
        except StoreUnavailable:
            yield _gauge("store_available", "Whether the event store answers.", 0)
            return
        yield _gauge("store_available", "Whether the event store answers.", 1)
        yield from _lags(found)
        yield from _servers(found)
        yield from _nodes(found)


class _Nodes:
    """The metrics of each node, with its name."""

    def __init__(self, status: _StatusCache) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; none without the store."""
        try:
            nodes = self._status.fresh().nodes
        except StoreUnavailable:
            return
        for name, what, value_of in OF_A_NODE:
            values = {node.hostname: value for node in nodes if (value := value_of(node)) is not None}
            yield _gauge(f"node_{name}", f"{what}.", values, "node")


class _Served:
    """The metrics of the HTTP server of this process."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        traffic = self._traffic
        yield _gauge("http_connections", "Open connections.", traffic.connections())
        yield _gauge("http_connections_limit", "Connections that can be open.", traffic.most_connections)
        yield _counter("http_limited", "Requests that a limit was reached by.", traffic.limited, "limit")
        yield _counter("http_closed", "Connections that the server closed.", traffic.closed, "reason")
        refused = "Tokens that were no good."
        yield CounterMetricFamily("sealward_refused_tokens", refused, value=traffic.refused_tokens)


def _lags(found: Status) -> Iterator[Metric]:
    lags = {"projections": found.projections} | ({} if found.relay is None else {"relay": found.relay})
    yield _gauge("log_head_position", "The last position of the log.", found.head)
    yield _gauge(
        "lag_events",
        "Events that wait for the projections or the relay.",
        {part: lag.events for part, lag in lags.items()},
        "part",
    )
    yield _gauge(
        "lag_seconds",
        "Age of the next event that waits for the projections or the relay.",
        {part: lag.seconds for part, lag in lags.items()},
        "part",
    )
    yield _gauge("log_leaves", "Events in the Merkle tree over the log.", found.tree.size)
    yield _gauge(
        "log_contradicts_checkpoint",
        "Whether the log does not continue the checkpoint that was signed last.",
        float(found.tree.problem is not None),
    )
    events = CounterMetricFamily("sealward_events", "Events in the log, by topic.", labels=("topic",))
    for topic in sorted(EVENTS):
        events.add_metric((topic,), found.events.get(topic, 0))
    yield events
    yield _gauge(
        "set_aside_events",
        "Events that a part of the control plane could not take.",
        {part: sum(one.part.split(":")[0] == part for one in found.set_aside) for part in PARTS},
        "part",
    )
    unproven = CounterMetricFamily(
        "sealward_unproven_messages", "Messages that nobody answers for, by reason.", labels=("reason",)
    )
    for reason in sorted({*REASONS, *(one.reason for one in found.unproven)}):
        unproven.add_metric((reason,), sum(one.messages for one in found.unproven if one.reason == reason))
    yield unproven


def _servers(found: Status) -> Iterator[Metric]:
    yield _gauge(
        "verdicts",
        "Signed servers, by verdict.",
        {value: found.verdicts[value].signs if value in found.verdicts else 0 for value in IsValid},
        "is_valid",
    )
    yield _gauge("claimed_servers", "Signed servers that two nodes say that they run.", found.claimed)
    yield _gauge(
        "oldest_verdict_seconds",
        "Time since the server was checked that was checked longest ago, by verdict.",
        found.oldest,
        "is_valid",
    )
    yield _gauge(
        "tasks",
        "Tasks, by Celery's states.",
        {state: found.tasks.get(state, 0) for state in TaskState},
        "state",
    )


def _nodes(found: Status) -> Iterator[Metric]:
    active = sum(node.active for node in found.nodes)
    counts = {"true": active, "false": len(found.nodes) - active}
    yield _gauge("nodes", "Registered nodes, by whether validation is on.", counts, "active")
    versions = Counted(node.version or "unknown" for node in found.nodes if not node.expected)
    yield _gauge("node_versions", "Nodes, by the version of their agents.", versions, "version")
    outdated = sum(not node.expected and is_older(node.version, own()) for node in found.nodes)
    yield _gauge("outdated_nodes", "Nodes with agents of an earlier version than this API.", outdated)
    expected = sum(node.expected for node in found.nodes)
    yield _gauge("expected_nodes", "Nodes that were let in and have not come yet.", expected)
    silent = sum(node.silent for node in found.nodes)
    yield _gauge("silent_nodes", "Nodes that were not heard within their lease.", silent)
    quiet = sum(node.quiet for node in found.nodes)
    yield _gauge("quiet_nodes", "Nodes of which three heartbeats were missed, including silent nodes.", quiet)
    for name, what, value_of in OF_A_NODE:
        known = [value for node in found.nodes if (value := value_of(node)) is not None]
        yield _gauge(f"nodes_{name}_max", f"{what}, the most of all nodes.", max(known, default=0.0))


OF_A_NODE: Final[tuple[tuple[str, str, Callable[[NodeStatus], float | None]], ...]] = (
    ("seen_seconds", "Time since a node was heard", lambda node: node.seen),
    ("swept_seconds", "Time since a node has swept its servers", lambda node: node.swept),
    ("sweep_duration_seconds", "How long a node's last sweep took", lambda node: node.sweep_seconds),
)


def _gauge(
    name: str, what: str, values: Mapping[str, float] | float, label: str | None = None
) -> GaugeMetricFamily:
    """Return a gauge with one number, or with a number for each value of a label."""
    if not isinstance(values, Mapping):
        return GaugeMetricFamily(f"sealward_{name}", what, value=values)
    family = GaugeMetricFamily(f"sealward_{name}", what, labels=(label or "",))
    for value, number in values.items():
        family.add_metric((value,), number)
    return family


def _counter(name: str, what: str, values: Mapping[str, int], label: str) -> CounterMetricFamily:
    """Return a counter with a number for each value of a label."""
    family = CounterMetricFamily(f"sealward_{name}", what, labels=(label,))
    for value, number in values.items():
        family.add_metric((value,), number)
    return family
