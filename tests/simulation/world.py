"""One history: a control plane, two nodes and their clients, whose every step is drawn from a seed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace
from simulation.host import VERSIONS, Host
from simulation.liar import Liar
from simulation.messages import named, said
from simulation.network import Killed, Network, Weather
from simulation.plane import AUTHORITY_PEM, Plane

from sealward.commands import messages as ask
from sealward.commands.context import RequestContext
from sealward.commands.errors import Rejected
from sealward.events.base import sign_stream
from sealward.events.sign import SignCreated, SignMoved
from sealward.events.store.store import StoreUnavailable
from sealward.node_agent.messages.trust import Trust
from sealward.protocol.reports import Inventory

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
STEPS = 120
PACES = (0.0, 0.5, 1.0, 3.0)
"""Each kind of step is absent, usual or frequent in a history: rare orders of steps are frequent in some."""
SWEEP = timedelta(seconds=60)
VARIANTS = (0, 1, 2)
CALM = Weather(overtaken=0.0, behind=0.0)
SIGN_COMMANDS = (ask.UpdateSign, ask.RevokeSign, ask.RequestValidation)


class World:
    """Call `live`, then `rest`; `trace` says what happened.

    In a `calm` world one worker takes all reports in their order, its rows keep up, and all clocks agree.
    There a `liar` may be: a third node that claims the servers of the two others.
    """

    def __init__(
        self, seed: int, folder: Path, check: Callable[[World], None], *, calm: bool = False
    ) -> None:
        self.dice = Random(seed)  # noqa: S311 - a seed that replays
        self.now = NOON
        self.trace: list[str] = []
        self._calm = calm
        self.network = Network(self.dice, CALM if calm else Weather())
        self.plane = Plane(self.network, self.clock)
        self.hosts = [
            Host(number, folder, self._skew(), self.clock, self.network.submit, trust=Trust((AUTHORITY_PEM,)))
            for number in (1, 2)
        ]
        self.liar = Liar(self.network.submit) if calm and seed % 2 else None
        self.migrations: dict[str, tuple[Host, Host]] = {}
        """By server the source and the destination of a migration that is under way."""
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        self.unanswered: list[str] = []
        self.rekeyed: set[str] = set()
        self._check = check
        self._tasks = 0

    @property
    def keys(self) -> dict[str, Ed25519PrivateKey]:
        """Return the key that each node signs with now."""
        return {host.hostname: host.keyring.current for host in self.hosts}

    @property
    def _server_ids(self) -> list[str]:
        return sorted(server_id for host in self.hosts for server_id in host.server_ids)

    def clock(self) -> datetime:
        """Return the control plane's time."""
        return self.now

    def host_of(self, server_id: str) -> Host:
        """Return the node that a server is on, or was on last."""
        return next(host for host in self.hosts if server_id in host.server_ids)

    def live(self) -> None:
        """Let things happen, to a system that works or to one that has just begun."""
        if self.dice.random() < 0.9:
            self._begin()
        self.network.weather = Weather.drawn(self.dice)
        self._say(str(self.network.weather))
        self._go(
            self._usual() | {self._leases: 2, self._wait: 1, self._break: 1, self._rekey: 1, self.boot: 2}
        )

    def live_calmly(self) -> None:
        """Let things happen to a system in which nothing is lost, and nobody dies."""
        self._begin()
        if self.liar is not None:
            self.liar.register()
            self.settle()
        self._go(self._usual())

    def _usual(self) -> dict[Callable[[], None], int]:
        """Return what happens, and how often."""
        lies = {} if self.liar is None else {self._lie: 4}
        return lies | {
            self._command: 5,
            self._change: 4,
            self._move: 1,
            self._libvirt: 1,
            self._notify: 6,
            self._take: 14,
            self._hear: 12,
            self._relay: 6,
            self._project: 8,
            self._arrive: 5,
            self._tick: 4,
            self._beat: 3,
        }

    def _go(self, steps: dict[Callable[[], None], int]) -> None:
        weights = [weight * self.dice.choice(PACES) for weight in steps.values()]
        for step in self.dice.choices(list(steps), weights, k=STEPS):
            self.now += timedelta(seconds=self.dice.uniform(0.01, 1))
            step()
            self._check(self)

    def rest(self, rounds: int) -> None:
        """Let the network heal, everything arrive, and time go by."""
        self.network.weather = Weather()
        self.heal()
        for _ in range(rounds):
            for _ in range(3):
                self.now += SWEEP / 3
                for host in self.hosts:
                    self._beat_at(host)
                self.settle()
                self.plane.look_at_leases()
            for host in self.hosts:
                self.tick_at(host)
            self.settle()

    def heal(self) -> None:
        """Let every libvirt and every agent be there, and everything arrive."""
        self.now += timedelta(
            milliseconds=10
        )  # what an agent does at one moment, it dates some microseconds later
        self._say("all heals")
        if self.liar is not None:
            self.liar.withdraw(sorted(self.liar.claims))
            self.settle()
        for server_id in sorted(self.migrations):
            self._arrive_at_destination(server_id)
        for host in self.hosts:
            if host.domains.gone:
                host.lose_libvirt(gone=False, version=host.domains.version)
            if host.agent is None:
                host.boot()
        self.settle()

    def activate(self) -> None:
        """Have most nodes validate."""
        for host in self.hosts:
            if self.dice.random() < 0.7:
                self.handle(self.switch(host, ask.ActivateNode))
        self.settle()

    def _begin(self) -> None:
        """Start the agents, sign most servers, have most nodes validate."""
        self.boot()
        self.settle()
        for host in self.hosts:
            for server_id in host.server_ids:
                if self.dice.random() < 0.7:
                    self.create(server_id)
        self.activate()

    def settle(self) -> None:
        """Let everything arrive that is on its way."""
        while self._is_busy():
            self._arrive()
            self._take()
            self._relay()
            for host in self.hosts:
                self.hear_at(host)
                self.notify_at(host)
            self._listen()
            self._project()
            self.now += timedelta(milliseconds=10)
            self._check(self)

    def hear_all(self, host: Host) -> None:
        """Let a node hear all that has arrived for it."""
        while self.network.queues.get(host.queue):
            self.hear_at(host)

    def take_all(self) -> None:
        """Let the workers take all reports that have arrived."""
        while self.network.inbox:
            self._take()

    def now_registers(self, host: Host) -> None:
        """Let a node ask once more to be told everything."""
        if host.agent is not None:
            self._agent_does(host, "registers", host.agent.register)

    def pass_time(self, seconds: float) -> None:
        """Let time go by; the nodes are heard meanwhile."""
        self.now += timedelta(seconds=seconds)
        for host in self.hosts:
            self._beat_at(host)

    def close(self) -> None:
        """Close ledgers and rows."""
        for host in self.hosts:
            host.close()
        self.plane.projections.close()

    def _is_busy(self) -> bool:
        head = self.plane.store.head()
        return bool(
            self.network.inbox
            or self.network.on_the_way
            or any(self.network.queues.values())
            or any(host.changed for host in self.hosts)
            or self.plane.owes
            or self.plane.projections.position_now() < head
        )

    def _skew(self) -> timedelta:
        seconds = 0 if self._calm else self.dice.choice((0, 0, 5, -5))
        return timedelta(seconds=seconds, microseconds=self.dice.randrange(1000))

    def _say(self, what: str) -> None:
        self.trace.append(f"{self.now - NOON} {what}")

    def _command(self) -> None:
        host = self.dice.choice(self.hosts)
        kind = self.dice.random()
        if kind < 0.2:
            self.handle(self.switch(host, self.dice.choice((ask.ActivateNode, ask.DeactivateNode))))
        elif kind < 0.55:
            self.create(self.dice.choice(self._server_ids))
        else:
            server_id = self.dice.choice(self._server_ids)
            made = self.dice.choice(SIGN_COMMANDS)(
                context=RequestContext(actor="user:admin", task_id=self.task_id()), server_id=server_id
            )
            self.handle(self._named(made))

    def _named(self, command: ask.SignCommand) -> ask.SignCommand:
        """Return an order to sign anew with the node that the server is on, as an administrator gives it."""
        if not isinstance(command, ask.UpdateSign):
            return command
        hostname = self.host_of(command.server_id).hostname
        with self.plane.projections.reading() as tables:
            found = [one for one in self.plane.projections.nodes.all(tables) if one.hostname == hostname]
        return replace(command, node_id=found[0].node_id if found else None)

    def order_again(self) -> None:
        """Have an administrator order anew what was ordered before a sign moved by itself."""
        with self.plane.projections.reading() as tables:
            rows = self.plane.projections.signs.page(tables, now=self.now)
        for row in rows:
            if row.ordered > row.sealed:
                order = ask.UpdateSign(
                    context=RequestContext(actor="user:admin", task_id=self.task_id()),
                    server_id=row.server_id,
                    node_id=row.node_id,
                )
                self.handle(order)
        self.settle()

    def create(self, server_id: str) -> None:
        """Sign a server that the control plane knows; of several nodes that report it, where it is."""
        with self.plane.projections.reading() as tables:
            found = self.plane.projections.servers.everywhere(tables, server_id)
        there = [one for one in found if one.hostname == self.host_of(server_id).hostname]
        server = next(iter(there or found), None)
        if server is not None and (self.liar is None or server.hostname != self.liar.reporter.hostname):
            command = ask.CreateSign(
                context=RequestContext(actor="user:admin", task_id=self.task_id()),
                server_id=server_id,
                node_id=server.node_id,
                hostname=server.hostname,
                instance_name=server.instance_name,
                profile="libvirt-domain/1",
            )
            self.handle(command)

    def switch(self, host: Host, kind: type[ask.ActivateNode | ask.DeactivateNode]) -> ask.NodeCommand:
        """Return the command to switch a node's validation."""
        return kind(
            context=RequestContext(actor="user:admin", task_id=self.task_id()), hostname=host.hostname
        )

    def handle(self, command: ask.Command) -> None:
        """Give a command, and note how it was answered."""
        task_id = str(command.task_id)
        try:
            self.plane.handler.handle(command)
        except Rejected:
            told, answers = "refused", self.refused
        except (StoreUnavailable, Killed):
            told, answers = "not answered", self.unanswered
        else:
            told, answers = "acknowledged", self.acknowledged
        answers.append(task_id)
        about = getattr(command, "server_id", getattr(command, "hostname", ""))
        self._say(f"{type(command).__name__} {about[:8]} {task_id} is {told}")

    def task_id(self) -> str:
        """Return the id of a new task."""
        self._tasks += 1
        return f"t-{self._tasks}"

    def _change(self) -> None:
        server_id = self.dice.choice(self._server_ids)
        variant = self.dice.choice((*VARIANTS, *VARIANTS, None))
        if variant is None and (server_id in self.migrations or not self._may_leave(server_id)):
            return
        self._say(f"{server_id[:8]} becomes {variant}")
        self.host_of(server_id).change(server_id, variant)

    def _move(self) -> None:
        """Let a server begin to migrate, arrive, or go on where it was; or move at once, unannounced."""
        if self.migrations and self.dice.random() < 0.7:
            server_id = self.dice.choice(sorted(self.migrations))
            if self.dice.random() < 0.2:
                self._fail_to_migrate(server_id)
            else:
                self._arrive_at_destination(server_id)
            return
        source, target = self.dice.sample(self.hosts, 2)
        if source.domains.gone or target.domains.gone:
            return
        movable = sorted(one for one in source.domains.variants if one not in self.migrations)
        movable = [one for one in movable if self._may_leave(one)]
        if movable and self.dice.random() < 0.7:
            self._begin_to_migrate(self.dice.choice(movable), source, target)
        elif movable:
            self.move(self.dice.choice(movable), source, target)

    def _begin_to_migrate(self, server_id: str, source: Host, target: Host) -> None:
        """Let libvirt begin, and the start gate of the destination ask."""
        self._say(f"{server_id[:8]} begins to move to {target.hostname}")
        self.migrations[server_id] = source, target
        source.domains.going.add(server_id)
        if target.agent is not None:
            agent = target.agent

            def ask_for() -> None:
                agent.expected_servers.inquire(server_id, 0.0, anew=True)

            self._agent_does(target, "asks", ask_for)

    def _fail_to_migrate(self, server_id: str) -> None:
        self._say(f"{server_id[:8]} does not move after all")
        source, _ = self.migrations.pop(server_id)
        source.domains.going.discard(server_id)

    def _arrive_at_destination(self, server_id: str) -> None:
        source, target = self.migrations.pop(server_id)
        source.domains.going.discard(server_id)
        self.now += timedelta(milliseconds=10)  # nothing is measured in the moment in which it moves
        if not source.domains.gone and not target.domains.gone and server_id in source.domains.variants:
            self.move(server_id, source, target)

    def _may_leave(self, server_id: str) -> bool:
        """Say whether a server may leave its node: not while a liar's claim to it is not denied.

        Which node has a server that has left is known from those alone that say that they have it.
        """
        if self.liar is None:
            return True
        if any(server_id in self.liar.claimed_in(body) for body in self.network.inbox):
            return False  # what it said before is still on its way
        if server_id not in self.liar.claims:
            return True
        _, sign = self.plane.handler.together(lambda batch: batch.sign(server_id))
        claims = () if sign is None else sign.verdict.claims
        return sign is None or any(one.by == self.liar.reporter.hostname and one.denied for one in claims)

    def _lie(self) -> None:
        """Let the liar claim a server, withdraw what it claims, ask for a reference, or forge."""
        liar, server_id = self.liar, self.dice.choice(self._server_ids)
        if liar is None:
            return
        kind = self.dice.random()
        if kind < 0.3 and self._is_at_home(server_id):
            liar.claim(server_id)
            self._say(f"the liar claims {server_id[:8]}")
        elif kind < 0.5:
            liar.withdraw([server_id])
            self._say(f"the liar withdraws {server_id[:8]}")
        elif kind < 0.7 and not self._comes_back(server_id):
            liar.ask(server_id)
            self._say(f"the liar asks for {server_id[:8]}")
        elif kind < 0.85:
            _, sign = self.plane.handler.together(lambda batch: batch.sign(server_id))
            task_id = None if sign is None else sign.ordered_task
            liar.forge(server_id, 1 + self.dice.randrange(4), self.now, task_id)
        else:
            liar.announce(server_id, self.now)

    def _comes_back(self, server_id: str) -> bool:
        """Say whether a server is about to move to a node that its sign was on before.

        That node may not have heard that the sign has left: then its question is about a server of its own,
        and contests no other question. A liar that asks in that moment is announced, and its claim has the
        verdict unknown until the next inventory.
        """
        target = self.migrations.get(server_id, (None, None))[1]
        log = self.plane.store.read(sign_stream(server_id))
        homes = {one.hostname for one in log if isinstance(one, SignCreated | SignMoved)}
        return target is not None and target.hostname in homes

    def _is_at_home(self, server_id: str) -> bool:
        """Say whether a server is where its sign is, and stays there, and its node has not said otherwise.

        A server that was gone and is back is not at home before its node says so: until then the sign goes to
        whoever says that it has the server.
        """
        _, sign = self.plane.handler.together(lambda batch: batch.sign(server_id))
        host = self.host_of(server_id)
        is_there = server_id in host.domains.variants and server_id not in self.migrations
        return sign is not None and is_there and sign.hostname == host.hostname and self._is_known(server_id)

    def _is_known(self, server_id: str) -> bool:
        """Say whether a server's node has said that it has the server, and says nothing else on the way."""
        hostname = self.host_of(server_id).hostname
        _, node = self.plane.handler.together(lambda batch: batch.node(hostname))
        waiting = (one for body in self.network.inbox for one in said(body))
        on_the_way = [one for one in waiting if isinstance(one, Inventory) and one.hostname == hostname]
        listed = [dict(one.instances) for one in on_the_way]
        return node is not None and all(server_id in one for one in (dict(node.instances), *listed))

    def _listen(self) -> None:
        """Let the liar hear what it is told."""
        if self.liar is not None:
            messages = self.network.queues.get(self.liar.queue, [])
            self.liar.told += messages
            messages.clear()

    def move(self, server_id: str, source: Host, target: Host) -> None:
        """Let a server go on at another node; each libvirt tells of it."""
        self._say(f"{server_id[:8]} moves to {target.hostname}")
        target.server_ids.append(server_id)
        source.server_ids.remove(server_id)
        target.change(server_id, source.domains.variants[server_id])
        source.change(server_id, None)

    def _libvirt(self) -> None:
        host = self.dice.choice(self.hosts)
        gone = not host.domains.gone
        version = self.dice.choice((*VERSIONS[:1] * 5, VERSIONS[1]))
        host.lose_libvirt(gone=gone, version=version)
        self._say(f"{host.hostname}: libvirt is {'gone' if gone else 'back as ' + version}")

    def _notify(self) -> None:
        self.notify_at(self.dice.choice(self.hosts))

    def notify_at(self, host: Host) -> None:
        """Let a node look at what changed."""
        changed, host.changed = host.changed, set()
        if changed and host.agent is not None:
            agent = host.agent
            shown = sorted(str(one)[:8] for one in changed)
            self._agent_does(host, f"looks at {shown}", lambda: agent.validate_changed(changed))

    def _take(self) -> None:
        if self.network.inbox:
            if not self.network.happens(self.network.weather.behind):
                self._project()
            batch = self.network.next_reports()
            done = self.plane.take(*batch)
            shown = ", ".join(named(body) for body in batch)
            self._say(f"{shown}: {'taken' if done else 'not taken yet'}")
            for body in batch if done else ():
                if not self.network.happens(self.network.weather.doubled):
                    self.network.inbox.remove(body)

    def _hear(self) -> None:
        self.hear_at(self.dice.choice(self.hosts))

    def hear_at(self, host: Host) -> None:
        """Let a node hear the next message."""
        messages = self.network.queues.get(host.queue)
        if messages and host.agent is not None:
            agent, body = host.agent, messages[0]
            lives = self._agent_does(host, f"hears {named(body)}", lambda: agent.receive(body))
            if lives and not self.network.happens(self.network.weather.doubled):
                messages.pop(0)

    def _relay(self) -> None:
        self.plane.relay()
        if self.network.happens(self.network.weather.doubled):
            self.plane.place.position = max(0, self.plane.place.position - self.dice.randrange(5))
        self._say(f"the relay is at {self.plane.place.position}")

    def _project(self) -> None:
        self.plane.project()

    def _arrive(self) -> None:
        self.network.arrive()

    def _tick(self) -> None:
        self.tick_at(self.dice.choice(self.hosts))

    def tick_at(self, host: Host) -> None:
        """Let a node look at everything."""
        if host.agent is not None:
            self._agent_does(host, "ticks", host.agent.tick)

    def _beat(self) -> None:
        self._beat_at(self.dice.choice(self.hosts))

    def _beat_at(self, host: Host) -> None:
        if host.agent is not None:
            self._agent_does(host, "beats", host.agent.beat)

    def _leases(self) -> None:
        self.plane.look_at_leases()

    def _wait(self) -> None:
        self.now += timedelta(seconds=self.dice.choice((20, 40, 120, 1000)))

    def _break(self) -> None:
        if self.network.weather.killed:
            host = self.dice.choice(self.hosts)
            host.agent = None
            self._say(f"{host.hostname} is killed")

    def _rekey(self) -> None:
        """Replace the key of a node, once in a history."""
        host = self.dice.choice(self.hosts)
        if host.hostname not in self.rekeyed:
            self.rekey(host)

    def rekey(self, host: Host) -> None:
        """Have a node make its next key, and name it."""
        self.rekeyed.add(host.hostname)
        pem = host.next_key()
        command = ask.ReplaceKey(
            context=RequestContext(actor="user:admin", task_id=self.task_id()),
            hostname=host.hostname,
            public_key=pem,
        )
        self.handle(command)

    def boot(self) -> None:
        """Start the agents that are dead."""
        for host in self.hosts:
            if host.agent is None:
                self._agent_does(host, "boots", host.boot)

    def _agent_does(self, host: Host, what: str, do: Callable[[], None]) -> bool:
        """Let an agent do something; say whether it lives on."""
        self._say(f"{host.hostname} {what}")
        try:
            do()
        except Killed:
            self._say(f"{host.hostname} dies of it")
            host.agent = None
            return False
        return True
