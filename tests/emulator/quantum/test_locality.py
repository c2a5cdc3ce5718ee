"""What one holder does to its qubit commutes with what another does to theirs, and time may pass in any steps."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest
import qutip
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from emulator.quantum import Engine, Gate, LindbladNoise, MemoryNoise, Noise, QubitError, QubitId, rotation

EXACT = settings(derandomize=True, deadline=None, max_examples=60, database=None)
SEED = st.integers(0, 2**32 - 1)
LAST = 1 - 2**-53
TIMES = st.integers(0, 2 * 10**9)
NOISES: dict[str, Noise] = {
    "markovian": MemoryNoise(t1_s=1.1, t2_s=0.7, depolarising_s=3.0, z_equilibrium=0.3),
    "gaussian": MemoryNoise(t1_s=2.0, t2_s=3.0, dephasing_s=0.9),
    "stretched": MemoryNoise(dephasing_s=0.5, dephasing_exponent=1.3),
    "driven": LindbladNoise([0.7 * qutip.destroy(2).full()], (1.5 * qutip.sigmax() + qutip.sigmaz()).full()),
    "critical": LindbladNoise([qutip.sigmaz().full()], 0.5 * qutip.sigmax().full()),
}
Step: TypeAlias = tuple[int, str, float]  # time in ns, operation, its parameter
STEPS = st.lists(
    st.tuples(TIMES, st.sampled_from(["wait", "frame", "gate", "noisy gate", "dephase"]), st.floats(-1, 1)), max_size=5
).map(sorted)
OPERATIONS: dict[str, Callable[[Engine, QubitId, int, float], None]] = {
    "wait": lambda engine, q, t, _: engine.frame(q, 0, t),
    "frame": lambda engine, q, t, x: engine.frame(q, round(1.5 + 1.5 * x), t),
    "gate": lambda engine, q, t, x: engine.gate(rotation(1, 2, -1, 5 * x), q, time_ns=t),
    "noisy gate": lambda engine, q, t, x: engine.gate(rotation(0, 1, 1, 5 * x).depolarised(0.1), q, time_ns=t),
    "dephase": lambda engine, q, t, x: engine.dephase(q, x, t),
}
END = 3 * 10**9


def do(one: Any, q: int, steps: list[Step]) -> None:
    for time_ns, name, x in steps:
        OPERATIONS[name](one.engine, one.ids[q], time_ns, x)


def difference(one: Any, other: Any) -> float:
    return float(np.abs(one.state(time_ns=END).full() - other.state(time_ns=END).full()).max())


@EXACT
@given(
    n=st.integers(2, 4),
    seed=SEED,
    noise=st.sampled_from(sorted(NOISES)),
    mine=STEPS,
    theirs=STEPS,
    order=st.lists(st.booleans(), max_size=10),
)
def test_local_operations_commute(
    lab: Any, n: int, seed: int, noise: str, mine: list[Step], theirs: list[Step], order: list[bool]
) -> None:
    labs = [lab((n,), seed, NOISES[noise]) for _ in range(3)]
    first, second, mixed = labs
    do(first, 0, mine)
    do(first, n - 1, theirs)
    do(second, n - 1, theirs)
    do(second, 0, mine)
    queues = [(n - 1, list(theirs)), (0, list(mine))]
    for turn in order:
        q, queue = queues[turn]
        do(mixed, q, queue[:1])
        del queue[:1]
    for q, queue in queues:
        do(mixed, q, queue)
    assert difference(first, second) < 1e-13
    assert difference(first, mixed) < 1e-13


@EXACT
@given(
    n=st.integers(3, 4), seed=SEED, noise=st.sampled_from(sorted(NOISES)), steps=STEPS, a=st.booleans(), b=st.booleans()
)
def test_measurements_commute_with_what_others_do_and_measure(
    lab: Any, *, n: int, seed: int, noise: str, steps: list[Step], a: bool, b: bool
) -> None:
    def measure(one: Any, q: int, time_ns: int, *, bit: bool) -> float:
        """Force an outcome and return its probability."""
        at = one.engine.snapshot(one.ids[q]).at(time_ns).r
        p = (1 - at[3]) / 2 if bit else (1 + at[3]) / 2
        if p < 1e-3:
            reject()  # an outcome that nearly never comes
        assert one.engine.measure(one.ids[q], time_ns, u=((0.0, LAST)[bit], 0.5)) == bit
        return float(p)

    first, second = (lab((n,), seed, NOISES[noise]) for _ in range(2))
    do(first, 1, steps)
    p = measure(first, 0, 10**9, bit=a) * measure(first, 2, 7 * 10**8, bit=b)
    q = measure(second, 2, 7 * 10**8, bit=b) * measure(second, 0, 10**9, bit=a)
    do(second, 1, steps)
    assert p == pytest.approx(q, abs=1e-13)
    assert difference(first, second) < 1e-13 / p


@EXACT
@given(
    n=st.integers(1, 4),
    seed=SEED,
    noise=st.sampled_from(sorted(NOISES)),
    stops=st.lists(st.integers(0, END), max_size=30).map(sorted),
)
def test_storage_in_many_steps_is_storage_in_one(lab: Any, n: int, seed: int, noise: str, stops: list[int]) -> None:
    whole, split = (lab((n,), seed, NOISES[noise]) for _ in range(2))
    for k, time_ns in enumerate(stops):
        split.engine.frame(split.ids[k % n], 0, time_ns)
    assert difference(whole, split) < 1e-13


@pytest.mark.parametrize("noise", sorted(NOISES))
@pytest.mark.parametrize("n", [2, 3])
def test_a_thousand_steps_are_one(lab: Any, noise: str, n: int) -> None:
    whole, split = (lab((n,), 5, NOISES[noise]) for _ in range(2))
    for k in range(1, 1001):
        split.engine.frame(split.ids[0], 0, k * END // 1000)
    assert difference(whole, split) < 1e-13


def test_time_of_one_qubit_does_not_bind_another(lab: Any) -> None:
    one = lab((3,), 1)
    one.engine.gate(Gate.from_unitary("Z", np.diag([1, -1])), one.ids[0], time_ns=100)
    one.engine.frame(one.ids[1], 1, 50)
    one.engine.frame(one.ids[1], 1, 50)  # the same instant again
    with pytest.raises(QubitError, match=r"node 1 position 1 .* at 49 ns, but it was touched at 50 ns"):
        one.engine.frame(one.ids[1], 1, 49)
    one.engine.frame(one.ids[2], 1, 10)
