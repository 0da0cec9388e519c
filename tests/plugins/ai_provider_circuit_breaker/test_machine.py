"""Random requests and outcomes, told to the breaker and to a plain reference."""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ai_provider_circuit_breaker import (
    Breaker,
    Event,
    Kind,
    Permit,
    Settings,
    admit,
    claim_check,
    decode_breaker,
    encode_breaker,
    health,
    settle,
)

START = 1_790_000_000.0
DRAW = 0.25


@dataclass
class Sent:
    """A request under way, as the reference knows it."""

    era: int
    is_probe: bool
    given_up_s: float


@dataclass
class Reference:
    """What the README says, in the words of a list of everything that has happened."""

    config: Settings
    state: str = "closed"
    era: int = 0
    until: float = 0.0
    asked: float = 0.0
    row: int = 0
    calls: list[tuple[int, str]] = field(default_factory=list)
    answered: int = 0
    under_way: list[Sent] = field(default_factory=list)
    openings: int = 0
    closed_at: float = 0.0
    check_at: float = 0.0

    def go(self, state: str, now: float) -> None:
        self.state, self.era = state, self.era + 1
        self.row, self.calls, self.answered, self.under_way = 0, [], 0, []
        if state in ("closed", "half_open"):
            self.until = self.asked = 0.0
        self.check_at = now + self.config.check_s * self.config.growth ** max(0, self.openings - 1)

    def shut(self, state: str, until: float, now: float) -> None:
        """Shut it out: the graver state and the later deadline win."""
        order = ["closed", "half_open", "rate_limited", "open", "unauthorized"]
        self.until = max(self.until, until, self.asked)
        if order.index(state) > order.index(self.state) or self.state == "half_open":
            self.go(state, now)

    def request(self, now: float) -> Sent | None:
        c = self.config
        if self.state in ("open", "rate_limited", "unauthorized"):
            if now < self.until:
                return None
            self.go("closed" if self.state == "rate_limited" else "half_open", now)
        if self.state == "closed":
            return Sent(self.era, False, 0.0)
        self.under_way = [sent for sent in self.under_way if sent.given_up_s > now]
        if len(self.under_way) == c.probes:
            return None
        sent = Sent(self.era, True, now + c.probe_expiry_s)
        self.under_way.append(sent)
        return sent

    def outcome(self, sent: Sent, kind: str, wait: float | None, now: float) -> None:
        c = self.config
        late = 1 + c.jitter * DRAW
        now_valid = sent.era == self.era
        if sent in self.under_way:
            self.under_way = [other for other in self.under_way if other is not sent]
        if wait is not None:
            self.asked = max(self.asked, now + min(wait, c.retry_after_limit_s))
            if self.state not in ("closed", "half_open"):
                self.until = max(self.until, self.asked)
        if kind == "rate_limited":
            own = 0.0 if self.asked >= now else now + c.rate_limit_s * late
            self.shut("rate_limited", own, now)
        elif kind == "unauthorized":
            self.shut("unauthorized", now + c.unauthorized_s * late, now)
        elif kind != "not_counted" and now_valid:
            if self.state == "closed":
                self.closed_outcome(kind, now)
            elif self.state == "half_open":
                if kind == "failure" or (kind == "slow" and c.slow_rate):
                    self.trip(now)
                else:
                    self.answered += 1
                    if self.answered == c.successes:
                        self.closed_at = now
                        self.go("closed", now)
            elif kind != "failure" and now >= self.asked:
                if self.state == "rate_limited":
                    self.until = max(self.until, now)
                else:
                    self.go("half_open", now)

    def closed_outcome(self, kind: str, now: float) -> None:
        c = self.config
        slot = int(now * 10 / c.window_s)
        self.calls.append((slot, kind))
        recent = [kind for at, kind in self.calls if at > slot - 10]
        if kind == "failure":
            self.row += 1
        else:
            self.row, self.asked = 0, 0.0
        enough = len(recent) >= c.window_requests
        rates = ((c.failure_rate, "failure"), (c.slow_rate, "slow"))
        shares = any(rate and recent.count(of) / len(recent) >= rate for rate, of in rates)
        if self.row >= c.failures or (kind != "success" and enough and shares):
            self.trip(now)

    def trip(self, now: float) -> None:
        c = self.config
        soon = self.state == "half_open" or now <= self.closed_at + c.repeat_s
        self.openings = self.openings + 1 if soon else 1
        length = min(c.open_s * c.growth ** (self.openings - 1), c.open_limit_s)
        self.shut("open", now + length * (1 + c.jitter * DRAW), now)


CONFIGS = st.builds(
    Settings,
    failures=st.integers(1, 4),
    window_s=st.sampled_from([10.0, 60.0]),
    window_requests=st.integers(1, 6),
    failure_rate=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    slow_rate=st.sampled_from([0.0, 0.5]),
    open_s=st.sampled_from([5.0, 60.0]),
    open_limit_s=st.sampled_from([60.0, 300.0]),
    growth=st.sampled_from([1.0, 2.0]),
    repeat_s=st.sampled_from([0.0, 100.0]),
    jitter=st.sampled_from([0.0, 0.5]),
    probes=st.integers(1, 3),
    successes=st.integers(1, 3),
    probe_expiry_s=st.sampled_from([4.0, 60.0]),
    check_s=st.sampled_from([0.0, 8.0]),
)
KINDS = st.sampled_from(Kind)
WAITS = st.none() | st.sampled_from([0.0, 2.0, 40.0, 1e9])


class BreakerMachine(RuleBasedStateMachine):
    """Both are told the same, and must agree on everything that can be asked."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.breaker = Breaker()
        self.sent: list[tuple[Permit, Sent]] = []

    @initialize(config=CONFIGS)
    def configure(self, config: Settings) -> None:
        self.config = config
        self.reference = Reference(config)

    @rule(seconds=st.sampled_from([0.0, 0.5, 3.0, 5.0, 30.0, 61.0, 700.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def request(self) -> None:
        ruling = admit(self.breaker, self.now, self.config)
        expected = self.reference.request(self.now)
        self.breaker = ruling.breaker

        assert (ruling.permit is None) == (expected is None)
        if ruling.permit is not None and expected is not None:
            assert bool(ruling.permit.probe) == expected.is_probe
            self.sent.append((ruling.permit, expected))

    @rule()
    def last_resort(self) -> None:
        """Send something although it is not admitted."""
        self.sent.append((Permit(self.breaker.generation), Sent(self.reference.era, False, 0.0)))

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), kind=KINDS, wait=WAITS)
    def outcome(self, data: st.DataObject, kind: Kind, wait: float | None) -> None:
        permit, sent = self.sent.pop(data.draw(st.integers(0, len(self.sent) - 1)))
        event = Event(kind, "", wait)
        ruling = settle(self.breaker, permit, event, now_s=self.now, draw=DRAW, settings=self.config)
        before = self.breaker.state
        self.breaker = ruling.breaker
        self.reference.outcome(sent, kind.value, wait, self.now)

        assert (ruling.transition is not None) == (before is not self.breaker.state)

    @rule()
    def check(self) -> None:
        ruling = claim_check(self.breaker, self.now, self.config)
        self.breaker = ruling.breaker
        reference = self.reference
        due = self.now >= max(reference.check_at, reference.asked)
        expected = reference.state == "open" and bool(self.config.check_s) and due

        assert (ruling.permit is not None) == expected
        if expected:
            reference.check_at = self.now + self.config.check_s * self.config.growth ** max(
                0, reference.openings - 1
            )

    @invariant()
    def agree(self) -> None:
        if not hasattr(self, "config"):
            return
        public = health(self.breaker, self.config)
        assert self.breaker.state.value == self.reference.state
        assert self.breaker.until_s == self.reference.until
        assert self.breaker.generation == self.reference.era
        if self.reference.state == "half_open":
            taken = [sent for sent in self.reference.under_way if sent.given_up_s > self.now]
            assert public.admits(self.now) == (len(taken) < self.config.probes)
        else:
            assert public.admits(self.now) == (
                self.reference.state == "closed" or self.now >= self.reference.until
            )

    @invariant()
    def written_and_read_it_is_the_same(self) -> None:
        if hasattr(self, "config"):
            assert decode_breaker(encode_breaker(self.breaker, self.config)) == self.breaker


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(stateful_step_count=40)
