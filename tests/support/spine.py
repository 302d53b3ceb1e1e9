"""The stores and the use cases on a connection with a long timeout, and challenges to put into them.

The product's own connection gives up after a second. Races of hundreds of threads can take longer.
"""

import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeVar

from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.model import Challenge, Delivery, Plan, State, Status, Step
from otp_service.challenge.send_store import Lease
from otp_service.challenge.transitions import after_outcome
from otp_service.crypto.code_hashes import Claim, Hasher, digest_of
from otp_service.crypto.sealing import Seal
from otp_service.crypto.tokens import Signer
from otp_service.delivery.account_health import AccountHealth
from otp_service.delivery.charges import Charges
from otp_service.delivery.choice import Choice
from otp_service.delivery.dispatcher import Dispatcher
from otp_service.delivery.expiry import Expiry
from otp_service.delivery.pace import Pace
from otp_service.delivery.preparation import Preparation
from otp_service.delivery.presumption import Presumption
from otp_service.delivery.receipt_pull import ReceiptPull
from otp_service.delivery.receipts import Receipts
from otp_service.delivery.replies import Replies
from otp_service.delivery.send_recorder import SendRecorder
from otp_service.delivery.send_wait import SendWait
from otp_service.delivery.settlement import Settlement
from otp_service.delivery.step_chooser import StepChooser
from otp_service.delivery.turns import Turns
from otp_service.delivery.worker import Worker
from otp_service.delivery.worker_watch import WorkerWatch
from otp_service.events.outbox import Outbox
from otp_service.figures.counters import Counters
from otp_service.figures.learned import LearnedWaits
from otp_service.guard.admission import Admission
from otp_service.guard.captcha import SiteVerify
from otp_service.guard.decision_hook import Decisions
from otp_service.guard.history import History
from otp_service.guard.human_check import ProofOfWork
from otp_service.guard.limiter import Limiter
from otp_service.history.journal import Journal, process_time
from otp_service.net.public_only import PublicClient
from otp_service.policy import App, Budget, Guard, Policy, Route, StepRule, Window
from otp_service.policy.active import ActivePolicy
from otp_service.policy.limits import Consecutive, ConversionRule, Cooldown, Countries, DeviceStanding
from otp_service.store.due import BAND
from otp_service.store.scripts import Scripts
from otp_service.store.sources import Call, Sources
from otp_service.telemetry.metrics import Metrics
from otp_service.upstream.breakers import Breakers
from otp_service.upstream.port import Message, Outcome, Verdict
from otp_service.verification.caller import Caller
from otp_service.verification.check import Check
from otp_service.verification.manage import Manage
from otp_service.verification.redeem import Redeem
from otp_service.verification.refunds import Refunds
from otp_service.verification.resend import Resend
from otp_service.verification.send import Send, SendRequest
from tests.support.numbers import crowd
from tests.support.patience import PATIENCE, PATIENT_LIMITS
from tests.support.valkey_server import ValkeyServer
from tests.support.watched import scripts_at

T = TypeVar("T")
FAR = 4_000_000_000
"""A time (seconds) that no test lives to see."""
STEPS = (Step("sms", ("main",), 30, "accepted"), Step("voice", ("main",), 30, "accepted"))
PLAN = Plan(STEPS, code_length=6, ttl=300, max_attempts=5, max_sends=4, cooldown=(30, 60))
WIDE = Budget(refuse=(Window(1_000_000, 3600),))
OPEN = Guard(
    countries=Countries(allow=("*",)),
    cooldown=Cooldown(mode="off"),
    number=Budget(refuse=(Window(1000, 3600),)),
    prefix=WIDE,
    address=WIDE,
    failures=Budget(mode="off"),
    conversion=ConversionRule(mode="off"),
    unproven=Budget(mode="off"),
    consecutive=Consecutive(mode="off"),
    standing=DeviceStanding(mode="off"),
)
"""Rules that stand in no test's way."""
OPEN_GUARD = """
[guard.number]
refuse = ["1000000/d"]

[guard.cooldown]
mode = "off"

[guard.prefix]
mode = "off"

[guard.address]
mode = "off"

[guard.failures]
mode = "off"

[guard.conversion]
mode = "off"

[guard.app]
mode = "off"

[guard.country]
mode = "off"

[guard.money]
mode = "off"

[guard.everything]
mode = "off"

[guard.unproven]
mode = "off"

[guard.consecutive]
mode = "off"

[guard.standing]
mode = "off"
"""
"""The same, as a policy says it."""
NUMBERS = tuple(islice(crowd(), 400))


STILL = "local now = tonumber(table.remove(ARGV, 1))\n"
"""A store's clock that shows the offset and nothing else, for what must not depend on how fast a machine is."""


class PatientScripts(Scripts):
    """The product's scripts on a client with a long timeout. It remembers the last raw answer of each thread."""

    def __init__(self, server: ValkeyServer, connections: int = 16, *, still: bool = False) -> None:
        """`still`: time moves with the offset alone."""
        pool = BlockingConnectionPool.from_url(
            server.url,
            max_connections=connections,
            timeout=PATIENCE,
            socket_timeout=PATIENCE,
            decode_responses=True,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
        )
        super().__init__(
            lambda: Redis(connection_pool=pool),
            lambda _name, _seconds: None,
            limits=PATIENT_LIMITS,
            sources=Sources({"now": STILL}) if still else None,
            offset=time.time_ns() // 1_000_000 if still else 0,
        )
        self._pool = pool
        self._heard = threading.local()

    def call(self, name: str, keys: Sequence[str], *arguments: str | float) -> Any:  # noqa: ANN401 - as Scripts
        """Run a script and remember its answer."""
        self._heard.answer = super().call(name, keys, *arguments)
        return self._heard.answer

    def call_in_turn(
        self, calls: Sequence[Call], beside: Sequence[Call] = (), *, durably: bool = False
    ) -> list[Any]:
        """Run scripts and remember the answer of the last one."""
        answers = super().call_in_turn(calls, beside, durably=durably)
        self._heard.answer = answers[-1] if answers else None
        return answers

    @property
    def answer(self) -> Any:  # noqa: ANN401 - the script's
        """The last raw answer to this thread."""
        return self._heard.answer

    def close(self) -> None:
        """Close the pool with all of its connections."""
        super().close()
        self._pool.disconnect()


@contextmanager
def open_store(server: ValkeyServer, *, partitions: int = 4, connections: int = 16) -> Iterator[Stores]:
    """Open stores with keys of their own."""
    scripts = PatientScripts(server, connections)
    yield Stores(scripts, prefix=f"t{secrets.token_hex(6)}", partitions=partitions)
    scripts.close()


@contextmanager
def proxied_store(url: str, prefix: str, *, partitions: int = 4) -> Iterator[Stores]:
    """Open stores at an address, over the product's own connection."""
    scripts = scripts_at(url, connections=4)
    yield Stores(scripts, prefix=prefix, partitions=partitions)
    scripts.close()


def prefix_of(store: Stores) -> str:
    """Return the first part of a store's keys."""
    return store.due.wake_channel.partition(":wake:")[0]


def new_challenge(store: Stores, plan: Plan = PLAN, **changes: object) -> Challenge:
    """Make a challenge that is not stored yet."""
    challenge = Challenge(
        id=store.challenges.new_id(),
        app="web",
        purpose="login",
        sealed="n1.c2VhbGVk",
        scheme="testing.p1",
        state=State.PENDING,
        expires=0,
        plan=plan,
        deliveries=(new_delivery(plan),),
    )
    return replace(challenge, **changes)  # type: ignore[arg-type]  # names and types are the test's business


def new_delivery(plan: Plan = PLAN, step: int = 0, operation: str = "") -> Delivery:
    """Make a delivery that is not stored yet."""
    chosen = plan.steps[step].channel
    return Delivery(step, chosen, Status.QUEUED, 0, operation or secrets.token_urlsafe(6), "r" * 16)


def opened(store: Stores, plan: Plan = PLAN, **changes: object) -> Challenge:
    """Store a new challenge."""
    challenge = store.challenges.open(new_challenge(store, plan, **changes)).challenge
    assert challenge is not None
    return challenge


def claimed(store: Stores, id_: str) -> Lease:
    """Lease a challenge that must be due."""
    lease = store.challenges.claim(id_)
    assert lease is not None, "it was not due"
    return lease


def armed(store: Stores, id_: str, code_hash: str = "hash", reference: str = "") -> tuple[Lease, str]:
    """Lease a challenge that must be due, and arm its delivery. Return the lease and the reference."""
    lease = claimed(store, id_)
    assert lease.what == "send"
    reference = reference or secrets.token_urlsafe(12)
    assert store.challenges.arm(lease, reference, code_hash, "main")
    return lease, reference


def seen(store: Stores, id_: str) -> Challenge:
    """Read a challenge that must exist."""
    challenge = store.challenges.read_challenge(id_)[1]
    assert challenge is not None
    return challenge


def stand_still(store: Stores, at: int) -> None:
    """Put the store's clock back to a time (milliseconds): what a slow machine has taken since then does not count."""
    store.scripts.offset += at - store.facts.time()


def deadline(server: ValkeyServer, store: Stores, id_: str) -> int | None:
    """Return when a challenge is due, read from the server directly."""
    with server.client() as client:
        score = client.zscore(f"{{{prefix_of(store)}:{id_[:2]}}}:due", id_)
    assert score is None or isinstance(score, float)
    if score is None:
        return None
    return int(score + BAND if score < 0 else score - BAND if score >= BAND else score)


def together(count: int, act: Callable[[int], T]) -> list[T | Exception]:
    """Run `act` in several threads that start at once. Return what each of them returned or raised."""
    barrier = threading.Barrier(count)
    results: queue.SimpleQueue[tuple[int, T | Exception]] = queue.SimpleQueue()

    def run(place: int) -> None:
        barrier.wait(PATIENCE)
        try:
            results.put((place, act(place)))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test judges it
            results.put((place, error))

    threads = [threading.Thread(target=run, args=(place,)) for place in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    found = dict(results.get() for _ in range(results.qsize()))
    assert len(found) == count, "a thread did not end"
    return [found[place] for place in range(count)]


class Phone:
    """A sender that puts messages into an inbox. It answers with `outcomes` in turn, then accepts."""

    def __init__(self, *outcomes: Outcome) -> None:
        self._outcomes = iter(outcomes)
        self.inbox: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        """Number and code of each message, in the order they came."""

    def __call__(self, message: Message) -> Outcome:
        """Take one message."""
        assert message.code in "".join(sign for sign in message.text if sign.isdigit())
        outcome = next(self._outcomes, Outcome(Verdict.ACCEPTED, "accepted", upstream_id=message.reference))
        self.inbox.put((message.to, message.code))
        return outcome

    def next(self) -> tuple[str, str]:
        """Wait for the next message. Return its number and its code."""
        return self.inbox.get(timeout=PATIENCE)


@dataclass(frozen=True, kw_only=True)
class Spine:
    """The use cases and a dispatcher, with their parts."""

    send: Send
    resend: Resend
    check: Check
    manage: Manage
    redeem: Redeem
    limiter: Limiter
    history: History
    dispatcher: Dispatcher
    breakers: Breakers
    account_health: AccountHealth
    receipts: Receipts
    replies: Replies
    store: Stores
    scripts: Scripts
    hasher: Hasher
    seal: Seal
    signer: Signer
    phone: Phone
    caller: Caller
    workers: WorkerWatch
    wait: SendWait
    pace: Pace
    refunds: Refunds
    journal: Journal
    metrics: Metrics

    def code_for(self, id_: str, code: str) -> None:
        """Deliver a code that the test chooses, as a worker would."""
        challenge = seen(self.store, id_)
        code_hash = self.hasher.hash(code, Claim(id_, challenge.purpose, ""), challenge.scheme)
        lease, reference = armed(self.store, id_, digest_of(code_hash))
        ended(self.store, lease, reference, Verdict.ACCEPTED)

    def opened(self, number: str = NUMBERS[0], key: str | None = None) -> str:
        """Open a challenge and give its id."""
        return self.send.send(self.caller, SendRequest(to=number), key).challenge_id

    def worker(self, name: str = "one", *, sends: int = 8) -> Worker:
        """Make a worker that delivers with this dispatcher."""
        return Worker(
            queue=self.store.due,
            membership=self.store.membership(self.store.due),
            scripts=self.scripts,
            handle=self.dispatcher.dispatch,
            metrics=self.metrics,
            name=name,
            at_once=sends,
            beside=[
                self.pace.run,
                self.expiry.run,
            ],
        )

    @property
    def expiry(self) -> Expiry:
        """Ends challenges in bulk."""
        return Expiry(
            challenges=self.store.challenges,
            queue=self.store.due,
            now=self.store.facts.time,
            tell=self.dispatcher.dispatch,
            record=self.dispatcher.record_end,
        )


_STATUSES = {Verdict.ACCEPTED: Status.ACCEPTED, Verdict.UNKNOWN: Status.UNKNOWN}


def ended(
    store: Stores, lease: Lease, reference: str, verdict: Verdict, retry_after: float | None = None
) -> None:
    """Settle a lease as a dispatcher does after an upstream's verdict."""
    outcome = Outcome(verdict, "test", retry_after=retry_after)
    store.challenges.settle(
        lease,
        after_outcome(lease.challenge, outcome, "main", lease.now),
        reference=reference,
        status=_STATUSES.get(verdict, Status.REFUSED),
        reason="" if verdict is Verdict.ACCEPTED else "test",
        account="main",
    )


def resent(store: Stores, id_: str) -> Challenge:
    """Resend as soon as the cooldown allows it."""
    challenge = seen(store, id_)
    store.scripts.offset += max(0, challenge.resend_at() - store.facts.time())
    what, _, answer = store.challenges.resend(id_, "web", new_delivery(challenge.plan))
    assert what == "queued"
    assert isinstance(answer, Challenge)
    return answer


def brought(store: Stores, id_: str, code_hash: str = "hash") -> None:
    """Deliver the challenge's newest delivery, which must be due."""
    lease, reference = armed(store, id_, code_hash)
    ended(store, lease, reference, Verdict.ACCEPTED)


def make_spine(
    scripts: Scripts,
    *,
    phone: Phone | None = None,
    hash_slots: int = 200,
    partitions: int = 4,
    guard: Guard | None = None,
    store: Stores | None = None,
    steps: Sequence[Step] = STEPS,
    draw: Callable[[int], int] = secrets.randbelow,
    clock: Callable[[], float] = time.monotonic,
) -> Spine:
    """Put the use cases together on a connection, with the cheapest hash and a route over `steps`.

    `draw` hides the answer of a human check, as in ProofOfWork. `clock` is the one by which refunds wait, and by which
    what was read of workers grows old (seconds).
    """
    phone = phone or Phone()
    app = App(name="web", brand="Acme")
    policy = Policy(
        apps={"web": app},
        upstreams={},
        routes=(
            Route(
                steps=tuple(
                    StepRule(channel=s.channel, upstreams=s.upstreams, wait=s.wait, until=s.until)
                    for s in steps
                )
            ),
        ),
        guard=guard or OPEN,
    )
    store = store or Stores(scripts, prefix=f"t{secrets.token_hex(6)}", partitions=partitions)
    hasher = Hasher({"p1": secrets.token_bytes(32)}, "testing", hash_slots)
    metrics = Metrics()
    signer = Signer(
        {"s1": secrets.token_bytes(32)}, {"d1": secrets.token_bytes(32)}, "https://otp.example.com"
    )
    active = ActivePolicy(
        version=1,
        policy=policy,
        senders={(step.channel, "main"): phone for step in steps},
        accounts={},
    )
    prefix = prefix_of(store)
    breakers = Breakers(scripts, prefix=prefix)
    counters = Counters(scripts, prefix=prefix)
    seal = Seal(
        {"n1": secrets.token_bytes(32)}, {"l1": secrets.token_bytes(32)}, subject_key=secrets.token_bytes(32)
    )
    journal = Journal(clock=lambda: process_time() + scripts.offset)
    outbox = Outbox(
        active=lambda: active,
        challenges=store.challenges,
        queue=store.events,
        facts=store.facts,
        journal=journal,
    )
    limiter = Limiter(scripts, seal, prefix=prefix, keep_blocks=86_400_000)
    history = History(scripts, seal, store.pins, prefix=prefix)
    admission = Admission(
        limiter=limiter,
        history=history,
        seal=seal,
        proof_of_work=ProofOfWork(secrets.token_bytes(32), draw=draw),
        captcha=lambda url: SiteVerify(url, "unused", connect_limit=PATIENCE, total_limit=PATIENCE),
        decisions=Decisions({}, metrics, client=PublicClient()),
        outbox=outbox,
        journal=journal,
        metrics=metrics,
        clock=store.facts.time,
    )
    account_health = AccountHealth(breakers, metrics, lambda: active)
    receipts = Receipts(
        active=lambda: active,
        challenges=store.challenges,
        facts=store.facts,
        account_health=account_health,
        seal=seal,
        journal=journal,
        metrics=metrics,
    )
    replies = Replies(facts=store.facts, suppressions=store.suppressions, seal=seal, metrics=metrics)
    workers = WorkerWatch(store.membership(store.due), [store.due], metrics, silence=10, clock=clock)
    wait = SendWait(store.pace_board, metrics, limit=5)
    pace = Pace(queue=store.due, board=store.pace_board, now=store.facts.time, name="one", places=hash_slots)
    refunds = Refunds(clock)
    charges = Charges(admission)
    turns = Turns(200)
    dispatcher = Dispatcher(
        active=lambda: active,
        challenges=store.challenges,
        choice=Choice(
            suppressions=store.suppressions,
            steps=StepChooser(
                facts=store.facts,
                breakers=breakers,
                seal=seal,
                journal=journal,
                metrics=metrics,
                turns=turns,
            ),
            charges=charges,
            seal=seal,
            journal=journal,
        ),
        charges=charges,
        recorder=SendRecorder(
            account_health=account_health,
            charges=charges,
            journal=journal,
            metrics=metrics,
        ),
        presumption=Presumption(
            challenges=store.challenges, suppressions=store.suppressions, breakers=breakers, seal=seal
        ),
        settlement=Settlement(
            challenges=store.challenges, receipts=receipts, seal=seal, journal=journal, metrics=metrics
        ),
        receipt_pull=ReceiptPull(challenges=store.challenges, budget=store.get_budget, receipts=receipts),
        preparation=Preparation(hasher=hasher, seal=seal),
        seal=seal,
        outbox=outbox,
        pace=pace,
        journal=journal,
        turns=turns,
        metrics=metrics,
    )
    return Spine(
        send=Send(
            challenges=store.challenges,
            facts=store.facts,
            learned_wait=LearnedWaits(counters, clock=time.monotonic).wait,
            hasher=hasher,
            seal=seal,
            signer=signer,
            admission=admission,
            workers=workers,
            wait=wait,
            refunds=refunds,
            journal=journal,
            metrics=metrics,
        ),
        resend=Resend(
            challenges=store.challenges,
            seal=seal,
            admission=admission,
            workers=workers,
            wait=wait,
            refunds=refunds,
            journal=journal,
        ),
        check=Check(
            challenges=store.challenges,
            hasher=hasher,
            seal=seal,
            signer=signer,
            admission=admission,
            outbox=outbox,
            journal=journal,
            metrics=metrics,
        ),
        manage=Manage(challenges=store.challenges, seal=seal, journal=journal, metrics=metrics),
        redeem=Redeem(facts=store.facts, seal=seal, signer=signer, journal=journal),
        limiter=limiter,
        history=history,
        dispatcher=dispatcher,
        breakers=breakers,
        account_health=account_health,
        receipts=receipts,
        replies=replies,
        store=store,
        scripts=scripts,
        hasher=hasher,
        seal=seal,
        signer=signer,
        phone=phone,
        caller=Caller(app=app, active=active, request_id="0123456789abcdef"),
        workers=workers,
        wait=wait,
        pace=pace,
        refunds=refunds,
        journal=journal,
        metrics=metrics,
    )


@contextmanager
def open_spine(server: ValkeyServer, *, connections: int = 16, **parts: Any) -> Iterator[Spine]:  # noqa: ANN401
    """Open the use cases on a patient connection."""
    scripts = PatientScripts(server, connections)
    yield make_spine(scripts, **parts)
    scripts.close()


def queued_events(store: Stores) -> list[str]:
    """List the ids of the events that are due."""
    return [id_ for p in store.partitions.names() for id_ in store.events_due.due([p], 100)[p].ids]


@contextmanager
def working(*workers: Worker) -> Iterator[None]:
    """Run workers until the block ends. Each must end in time."""
    threads = [threading.Thread(target=worker.run) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.stop()
        for thread in threads:
            thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads), "a worker did not end"
