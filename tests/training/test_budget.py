"""Budgets with simulated costs on a simulated clock."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden_values import Golden
from small_clock import TestClock
from ulna.training.budget import EPOCHS, MIN_STEPS, SCORING, VALIDATING, Ending, ScoringBudget, StepBudget, TimeBudget
from ulna.training.timer import Timer

Speed = Callable[[float], float]


def test_steps_are_covered_once_whatever_the_epochs() -> None:
    clock = TestClock()
    budget = StepBudget(25, 10, Timer(clock))
    epochs = [list(budget.epoch(start)) for start in (0, 10, 20)]
    assert list(itertools.chain(*epochs)) == list(range(25))
    assert [budget.progress(step) for step in (0, 5, 25, 50)] == [0, 0.2, 1, 1]
    assert budget.cases(32) == 32
    assert budget.left(0) == math.inf
    clock.move(10)
    assert budget.left(5) == 40
    resumed = StepBudget(25, 10, Timer(clock), start=20)
    clock.move(2)
    assert resumed.left(21) == 8


@dataclass
class Simulated:
    """A training by time on a machine whose `speed` (a factor on all costs) depends on the time."""

    minutes: float
    step: float = 0.5
    case: float = 0.05
    held_out: int = 40
    after: float = 3.0
    guess: float = 1.0  # of what a case costs, as a share
    setup: float = 5.0
    speed: Speed = lambda _: 1.0
    clock: TestClock = field(default_factory=lambda: TestClock(0.0))
    epochs: list[tuple[int, float]] = field(default_factory=list)  # steps and progress of each
    validated: list[int] = field(default_factory=list)
    scored: int = 0

    def cost(self, seconds: float) -> None:
        self.clock.move(seconds * self.speed(self.clock.seconds))

    def train(self, timer: Timer, *, progress: float = 0.0, kill: float = math.inf, step: int = 0) -> float:
        """The progress of the last checkpoint."""
        ending = Ending(
            validated=min(self.held_out, 32),
            scored=self.held_out,
            slower=2.0,
            seconds=self.after,
            case_pixels=3 * self.case * self.guess,
            batch_pixels=self.step,
        )
        budget = TimeBudget(timer, ending, progress=progress)
        rate = budget.progress(step)
        while budget.progress(step) < 1:
            first = step
            for step in budget.epoch(first):
                assert budget.progress(step) >= rate - 1e-12  # it never goes back
                rate = budget.progress(step)
                began = timer.seconds
                self.cost(self.step)
                budget.stepped(timer.seconds - began)
                if timer.seconds > kill:
                    return progress
            step += 1
            began, cases = timer.seconds, budget.cases(min(self.held_out, 32))
            self.cost(self.case * cases)
            budget.validated(timer.seconds - began, cases)
            self.validated.append(cases)
            self.epochs.append((step - first, budget.progress(step)))
            progress = budget.progress(step)
        return progress

    def score(self, timer: Timer) -> None:
        enough = ScoringBudget(timer, self.after)
        while self.scored < self.held_out and (not self.scored or enough()):
            self.cost(2 * self.case)
            self.scored += 1
        self.cost(self.after)

    def run(self) -> float:
        """How much of the time was used, as a share of what was promised."""
        timer = Timer(self.clock, limit=60 * self.minutes)
        self.cost(self.setup)
        self.train(timer)
        self.score(timer)
        return timer.seconds / timer.limit


def test_a_steady_machine_keeps_the_promise_and_scores_all() -> None:
    machine = Simulated(10)
    assert 0.97 < machine.run() < 1.001
    assert machine.scored >= 39
    assert len(machine.epochs) in (EPOCHS - 1, EPOCHS)
    assert machine.epochs[-1][1] == 1
    assert set(machine.validated) == {32}


@pytest.mark.parametrize("minutes", [0.5, 2, 10, 60])
@pytest.mark.parametrize("when", [0.3, 0.5, 0.7, 0.9])
def test_the_promise_is_kept_when_the_speed_halves(minutes: float, when: float) -> None:
    machine = Simulated(minutes, step=0.2, after=0.5, speed=lambda now: 2.0 if now > 60 * minutes * when else 1.0)
    assert 0.93 < machine.run() <= 1.05
    assert machine.scored >= 10


def test_what_is_not_said_of_the_end_takes_no_time() -> None:
    assert Ending() == Ending(validated=0, scored=0, slower=1.0, seconds=0.0, case_pixels=1.0, batch_pixels=1.0)
    budget = TimeBudget(Timer(TestClock(), limit=60), Ending())
    assert (budget.progress(0), budget.step_seconds, budget.reserve, budget.left(0)) == (0, 0, 0, 60)


@pytest.mark.parametrize("limit", [9.9, 10.1])
def test_no_step_is_begun_of_which_half_lies_behind_the_end(limit: float) -> None:
    clock = TestClock(0)
    budget = TimeBudget(Timer(clock, limit=limit), Ending())
    clock.move(8)
    budget.stepped(4.0)  # the next would end at 12
    assert (budget.progress(1) == 1) == (limit < 10)
    assert list(itertools.islice(budget.epoch(1), 1)) == ([] if limit < 10 else [1])


def test_the_number_of_steps_is_expected_from_what_each_takes() -> None:
    def expected(step: float, /, **ending: float) -> int:
        budget = TimeBudget(Timer(TestClock(), used=40, limit=1000), Ending(batch_pixels=100, **ending))  # type: ignore[arg-type]
        return budget.expected_steps(step)

    assert expected(0.0) == 1
    assert expected(2.0) == 480
    assert expected(5000.0) == 1
    assert expected(2.0, seconds=60) == 450
    assert expected(2.0, validated=3, case_pixels=50) == round((960 - 1 - 16 * 3 / 3) / 2)
    assert expected(2.0, validated=300, case_pixels=50) == round(0.8 * 860 / 2)
    assert expected(2.0, scored=30, slower=2.0, case_pixels=50) == round((960 - 20) / 2)
    assert expected(2.0, scored=3000, case_pixels=50) == round((960 - 1000 / 3) / 2)


def test_trainings_by_time_go_as_they_went(golden: Golden) -> None:
    machines = {
        "steady": Simulated(3),
        "slower": Simulated(3, speed=lambda now: 2.0 if now > 100 else 1.0),
        "faster": Simulated(3, speed=lambda now: 0.5 if now > 60 else 1.0),
        "slow to validate": Simulated(3, case=1.5),
        "slow steps": Simulated(2, step=6.0, case=0.4, after=1.0),
        "nothing held out": Simulated(2, held_out=0),
        "many held out": Simulated(2, held_out=500, case=0.2),
    }
    used = {name: machine.run() for name, machine in machines.items()}
    golden.check(
        "budget",
        {
            name: [used[name], machine.scored, machine.validated, machine.epochs, machine.clock.seconds]
            for name, machine in machines.items()
        },
    )


def test_a_machine_that_becomes_faster_trains_for_longer() -> None:
    machine = Simulated(10, speed=lambda now: 1.0 if now < 300 else 0.4)
    assert 0.97 < machine.run() <= 1.0


@pytest.mark.parametrize(("step", "case"), [(4.0, 0.5), (2.0, 2.0), (8.0, 1.0)])
def test_a_very_slow_machine_keeps_the_promise(step: float, case: float) -> None:
    machine = Simulated(1.5, step=step, case=case, after=1.0)
    assert machine.run() <= 1.05
    assert machine.scored >= 1
    assert all(steps > 1 for steps, _ in machine.epochs)


def test_one_step_that_takes_all_the_time_is_done_all_the_same() -> None:
    machine = Simulated(0.5, step=100.0, case=1.0)
    machine.run()
    assert [steps for steps, _ in machine.epochs] == [1]
    assert machine.scored == 1


def test_scores_that_would_take_too_long_leave_time_to_train() -> None:
    machine = Simulated(2, case=1.0, held_out=400)
    assert machine.run() <= 1.02
    assert 12 < machine.scored < 25  # a third of the time at most
    assert sum(steps for steps, _ in machine.epochs) * machine.step > 0.3 * 120


@pytest.mark.parametrize(("case", "epochs", "cases"), [(0.001, EPOCHS, 32), (0.5, 5, 32), (20.0, 1, 6)])
def test_what_takes_long_to_validate_is_validated_rarely_or_on_fewer(case: float, epochs: int, cases: int) -> None:
    machine = Simulated(10, case=case, held_out=32)
    machine.run()
    assert abs(len(machine.epochs) - epochs) <= 1
    assert set(machine.validated) == {cases}
    assert case * cases * len(machine.epochs) <= (VALIDATING + 0.03) * 600


def test_a_killed_run_goes_on_and_keeps_the_promise() -> None:
    machine = Simulated(10)
    timer = Timer(machine.clock, limit=600)
    machine.cost(5)
    progress = machine.train(timer, kill=300)
    done = len(machine.epochs)
    assert 0.4 < progress < 0.5
    machine.clock.move(5000)  # the night between
    resumed = Timer(machine.clock, used=300, limit=600)
    machine.cost(5)
    assert machine.train(resumed, progress=progress, step=1) == 1
    machine.score(resumed)
    assert 0.97 < resumed.seconds / 600 <= 1
    steps = [count for count, _ in machine.epochs[done:]]
    assert len(steps) <= EPOCHS - done
    assert min(steps) >= MIN_STEPS


def test_a_run_whose_time_is_over_does_no_step() -> None:
    clock = TestClock()
    budget = TimeBudget(Timer(clock, used=70, limit=60), Ending(), progress=0.5)
    assert budget.progress(30) == 1
    assert list(budget.epoch(30)) == []
    assert budget.left(30) == 0


def test_a_resumed_schedule_begins_where_it_was() -> None:
    clock = TestClock()
    budget = TimeBudget(Timer(clock, used=400, limit=600), Ending(seconds=20), progress=0.5)
    assert budget.progress(30) == 0.5
    clock.move(90)  # half of what is left
    budget.stepped(90)
    assert budget.progress(31) == pytest.approx(0.75)


def test_the_reserve_follows_the_speed_between_validations() -> None:
    clock = TestClock(0)
    budget = TimeBudget(Timer(clock, limit=1000), Ending(validated=10, scored=20, slower=2.0, seconds=3.0))
    for _ in range(8):
        clock.move(1)
        budget.stepped(1.0)
    budget.validated(5.0, 10)
    assert budget.case_seconds == pytest.approx(0.5)
    for _ in range(4):  # these show what the speed was at the validation
        clock.move(1)
        budget.stepped(1.0)
    assert budget.reserve == pytest.approx(10 * 0.5 + 20 * 2 * 0.5 + 3)
    for _ in range(8):
        clock.move(2)
        budget.stepped(2.0)
    assert budget.reserve == pytest.approx(2 * (10 * 0.5 + 20 * 2 * 0.5 + 3))
    assert budget.end == pytest.approx(1000 - budget.reserve)
    dear = TimeBudget(Timer(clock, limit=1000), Ending(scored=10**6))
    clock.move(1)
    dear.stepped(1.0)
    dear.validated(10.0, 10)
    assert dear.reserve == pytest.approx(10 * 0 + SCORING * 1000)


def test_the_cost_of_a_validation_is_guessed_before_there_was_one() -> None:
    clock = TestClock(0)
    budget = TimeBudget(Timer(clock, limit=100), Ending(validated=4, case_pixels=50, batch_pixels=100))
    budget.stepped(6.0)
    assert budget.case_seconds == pytest.approx(6 / 3 / 2)  # forward is a third of a step, a case half a batch
    assert budget.cases(4) == 4
    assert budget.cases(40) == 20  # a fifth of the time


def test_scoring_stops_in_time_for_what_comes_after_at_the_present_speed() -> None:
    for factor, scored in ((1.0, 80), (2.0, 60)):  # of 100 seconds, 40 s at one per case, then at this factor
        clock = TestClock(0.0)
        enough = ScoringBudget(Timer(clock, limit=100.0), 20.0)
        done = 1
        clock.move(1)
        while enough():
            clock.move(1.0 if done < 40 else factor)
            done += 1
        assert done == pytest.approx(40 + (scored - 40) / factor, abs=1)


@settings(deadline=None, max_examples=60)
@given(
    minutes=st.floats(0.5, 20),
    step=st.floats(0.1, 2),
    case=st.floats(0.01, 0.5),
    held_out=st.integers(0, 100),
    when=st.floats(0, 1),
    factor=st.floats(1, 2),
)
def test_the_promise_on_any_machine(
    minutes: float, step: float, case: float, held_out: int, when: float, factor: float
) -> None:
    limit = 60 * minutes
    machine = Simulated(
        minutes,
        step=step,
        case=case,
        held_out=held_out,
        after=0.01 * limit,
        setup=0.1 * limit,
        speed=lambda now: factor if now > when * limit else 1.0,
    )
    used = machine.run()
    slack = (2 * step + 2 * case) * factor / limit  # what is begun is finished
    assert used <= 1.02 + slack
    assert used >= 0.9 - slack or machine.epochs[-1][1] == 1


@pytest.mark.parametrize("minutes", [5, 15, 60])
def test_a_validation_that_takes_far_longer_than_was_guessed_does_not_move_the_schedule_on(minutes: float) -> None:
    machine = Simulated(minutes, step=0.02 * minutes, case=1.2 * minutes, held_out=10, guess=1 / 9)
    machine.run()
    assert machine.epochs[0][1] < 0.2
    assert machine.epochs[-1][1] == 1
