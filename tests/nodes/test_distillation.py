"""Distillation protocols: the forecast and the verdict against gates in the engine, closed forms, and QuTiP."""

import doctest
import math
from itertools import product

import numpy as np
import pytest
import qutip

from emulator import BellState, Engine, Gate, QubitId, Readout
from emulator.quantum import SIGNS, gates, werner
from links import SingleClick
from nodes import NodePhysics, distillation
from nodes.distillation import BBPSSW, DEJMPS, EPL, PROTOCOLS, Protocol, Turn, Weights

KEPT: tuple[QubitId, QubitId] = (("alice", 0, 1), ("bob", 0, 1))
SPENT: tuple[QubitId, QubitId] = (("alice", 1, 1), ("bob", 1, 1))
SURELY = (0.0, math.nextafter(1, 0))  # the uniform with which a measurement of any odds yields 0, or 1
EVERY = pytest.mark.parametrize("name", PROTOCOLS)


def diagonal(weights: Weights, bell: int) -> list[float]:
    """Return a Bell-diagonal pair announced as `bell`, with these weights of errors."""
    r = [0.0] * 16
    for error, weight in enumerate(weights):
        for k in range(4):
            r[5 * k] += weight * SIGNS[bell ^ error][k]
    return r


def weights_of(engine: Engine, bell: int) -> list[float]:
    snapshot = engine.snapshot(*KEPT)
    return [snapshot.fidelity(bell ^ error) for error in range(4)]


def gate_of(turn: Turn, *, head: bool) -> Gate:
    axis, angle_rad = turn.rotation(head=head)
    return gates.rotation(*axis, angle_rad)


def run(
    protocol: Protocol,
    states: tuple[list[float], list[float]],
    bells: tuple[int, int],
    turns: tuple[int, int],
    outcomes: tuple[int, int],
    noise: tuple[float, float] = (0.0, 0.0),
) -> tuple[float, Engine]:
    """Do it gate by gate and have the ends read the given bits; return how likely those are, and what is left.

    noise: depolarising probability of gates of one and of two qubits.
    """
    engine = Engine()
    for pair, state, bell in zip((KEPT, SPENT), states, bells, strict=True):
        for qubit in pair:
            engine.open(qubit)
        engine.new_pair(state, *pair, times_ns=(0, 0), bell=bell)
    for pair, turn in zip((KEPT, SPENT), turns, strict=True):
        for end, qubit in enumerate(pair):
            engine.gate(gate_of(protocol.turns[turn], head=end == 0).depolarised(noise[0]), qubit, time_ns=0)
    likely = 1.0
    for end in (0, 1):
        engine.gate(gates.CNOT.depolarised(noise[1]), KEPT[end], SPENT[end], time_ns=0)
    for end, outcome in enumerate(outcomes):
        likely *= (1 + (1 - 2 * outcome) * engine.snapshot(SPENT[end]).r[3]) / 2
        if likely < 1e-13:
            return 0.0, engine
        assert engine.measure(SPENT[end], 0, u=(SURELY[outcome], 0.0)) == outcome
    return likely, engine


def kept_by_gates(
    protocol: Protocol, states: tuple[list[float], list[float]], bells: tuple[int, int]
) -> tuple[float, np.ndarray]:
    """Return the probability that a pair is kept, and the weights of its errors then, averaged over turns."""
    success, weights = 0.0, np.zeros(4)
    numbers = range(len(protocol.turns))
    for turns in product(numbers, repeat=2):
        for outcomes in product((0, 1), repeat=2):
            bell = protocol.verdict(bells, turns, outcomes)
            if bell is not None:
                likely, engine = run(protocol, states, bells, turns, outcomes)
                if likely:
                    success += likely
                    weights += likely * np.array(weights_of(engine, bell))
    return success / len(numbers) ** 2, weights / success


def random_weights(rng: np.random.Generator) -> Weights:
    a, b, c, d = rng.dirichlet([1.0] * 4).tolist()
    return a, b, c, d


def test_examples_in_docstrings_run() -> None:
    assert doctest.testmod(distillation).failed == 0


@EVERY
@pytest.mark.parametrize("seed", range(4))
def test_the_forecast_is_what_the_gates_do_to_bell_diagonal_pairs(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    protocol = PROTOCOLS[name]
    kept, spent = random_weights(rng), random_weights(rng)
    bells = int(rng.integers(4)), int(rng.integers(4))
    forecast = protocol.forecast(kept, spent)
    success, weights = kept_by_gates(protocol, (diagonal(kept, bells[0]), diagonal(spent, bells[1])), bells)
    assert success == pytest.approx(forecast.success, abs=1e-12)
    assert weights == pytest.approx(forecast.weights, abs=1e-12)


@EVERY
@pytest.mark.parametrize("seed", range(3))
def test_the_forecast_counts_noisy_gates_and_wrong_read_outs(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    protocol = PROTOCOLS[name]
    kept, spent = random_weights(rng), random_weights(rng)
    bells = int(rng.integers(4)), int(rng.integers(4))
    turns = (0, 0)
    one, two, wrong, answered = 0.05, 0.12, 0.07, 0.8  # at each end
    physics = NodePhysics(
        one_qubit_depolarising=one, two_qubit_depolarising=two, readout=Readout(wrong, wrong, answered)
    )
    end = physics.gates(1, 1)
    # One turn of BBPSSW is enough: they are averaged over elsewhere.
    forecast = Protocol(protocol.turns[:1], protocol.kept).forecast(kept, spent, end * end)
    states = diagonal(kept, bells[0]), diagonal(spent, bells[1])
    success, weights = 0.0, np.zeros(4)
    for read, true in product(product((0, 1), repeat=2), repeat=2):
        bell = protocol.verdict(bells, turns, read)
        if bell is not None:
            likely, engine = run(protocol, states, bells, turns, true, (one, two))
            likely *= answered**2 * math.prod(wrong if r != t else 1 - wrong for r, t in zip(read, true, strict=True))
            success += likely
            weights += likely * np.array(weights_of(engine, bell))
    assert success == pytest.approx(forecast.success, abs=1e-12)
    assert weights / success == pytest.approx(forecast.weights, abs=1e-12)


@EVERY
@pytest.mark.parametrize("bells", list(product(BellState, repeat=2)))
def test_two_perfect_pairs_in_any_bell_states_leave_the_bell_state_that_the_verdict_names(
    name: str, bells: tuple[BellState, BellState]
) -> None:
    protocol = PROTOCOLS[name]
    success, weights = kept_by_gates(protocol, (werner(1, bells[0]), werner(1, bells[1])), bells)
    assert success == pytest.approx(len(protocol.kept) / 2, abs=1e-12)
    assert weights == pytest.approx([1, 0, 0, 0], abs=1e-12)


@EVERY
def test_turns_leave_phi_plus_and_move_the_other_bell_states_as_they_say(name: str) -> None:
    for turn in PROTOCOLS[name].turns:
        for bell in BellState:
            engine = Engine()
            for qubit in KEPT:
                engine.open(qubit)
            engine.new_pair(werner(1, bell), *KEPT, times_ns=(0, 0), bell=bell)
            for end, qubit in enumerate(KEPT):
                engine.gate(gate_of(turn, head=end == 0), qubit, time_ns=0)
            assert engine.snapshot(*KEPT).fidelity(turn.moves[bell]) == pytest.approx(1, abs=1e-12)
            assert turn.moves[bell ^ 1] == turn.moves[bell] ^ turn.moves[1], "linear, so that frames and errors agree"


@pytest.mark.parametrize("fidelity", [0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0])
def test_bbpssw_of_werner_pairs_is_the_closed_form(fidelity: float) -> None:
    e = (1 - fidelity) / 3
    forecast = BBPSSW.forecast(distillation.werner(fidelity), distillation.werner(fidelity))
    success = fidelity**2 + 2 * fidelity * e + 5 * e**2
    assert forecast.success == pytest.approx(success, abs=1e-12)
    assert forecast.weights[0] == pytest.approx((fidelity**2 + e**2) / success, abs=1e-12)


def test_bbpssw_of_two_unlike_werner_pairs_is_the_closed_form() -> None:
    v, w = ((4 * f - 1) / 3 for f in (0.9, 0.7))
    forecast = BBPSSW.forecast(distillation.werner(0.9), distillation.werner(0.7))
    assert forecast.success == pytest.approx((1 + v * w) / 2, abs=1e-12)
    expected = (v + w + 4 * v * w) / (3 * (1 + v * w))
    assert forecast.weights[0] == pytest.approx((1 + 3 * expected) / 4, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_bbpssw_knows_nothing_of_a_pair_but_its_fidelity(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kept, spent = random_weights(rng), random_weights(rng)
    found = BBPSSW.forecast(kept, spent)
    same = BBPSSW.forecast(distillation.werner(kept[0]), distillation.werner(spent[0]))
    assert found.success == pytest.approx(same.success, abs=1e-12)
    assert found.weights == pytest.approx(same.weights, abs=1e-12)


def test_twelve_turns_leave_a_werner_pair_of_any_state() -> None:
    rng = np.random.default_rng(5)
    rho = qutip.rand_dm([2, 2], seed=rng)
    mixed = 0
    for turn in BBPSSW.turns:
        both = []
        for head in (True, False):
            (x, y, z), angle_rad = turn.rotation(head=head)
            spin = (x * qutip.sigmax() + y * qutip.sigmay() + z * qutip.sigmaz()) / math.hypot(x, y, z)
            both.append((-0.5j * angle_rad * spin).expm())
        turned = qutip.tensor(both)
        mixed += turned * rho * turned.dag() / 12
    phi = qutip.bell_state("00").proj()
    fidelity = (phi * rho).tr().real
    expected = fidelity * phi + (1 - fidelity) / 3 * (qutip.qeye([2, 2]) - phi)
    assert np.abs((mixed - expected).full()).max() < 1e-12


@pytest.mark.parametrize("seed", range(5))
def test_dejmps_is_the_closed_form(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kept, spent = random_weights(rng), random_weights(rng)
    forecast = DEJMPS.forecast(kept, spent)
    big_a, big_d, big_c, big_b = kept  # Phi+, Phi-, Psi+, Psi-
    a, d, c, b = spent
    success = (big_a + big_b) * (a + b) + (big_c + big_d) * (c + d)
    expected = (big_a * a + big_b * b, big_a * b + big_b * a, big_c * c + big_d * d, big_c * d + big_d * c)
    assert forecast.success == pytest.approx(success, abs=1e-12)
    assert forecast.weights == pytest.approx([x / success for x in expected], abs=1e-12)


def single_click(alpha: float, sign: int) -> list[float]:
    """Return (1 - alpha) Psi(sign) + alpha |11>, what single click leaves when only photons are lost."""
    psi = werner(1, BellState.PSI_PLUS if sign > 0 else BellState.PSI_MINUS)
    both = [0.0] * 16
    both[0], both[3], both[12], both[15] = 1.0, -1.0, -1.0, 1.0
    return [(1 - alpha) * p + alpha * q for p, q in zip(psi, both, strict=True)]


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
@pytest.mark.parametrize("alpha", [0.05, 0.3, 0.7])
def test_epl_makes_a_pure_pair_of_two_that_suffered_from_loss_alone(alpha: float, signs: tuple[int, int]) -> None:
    bells = tuple(BellState.PSI_PLUS if sign > 0 else BellState.PSI_MINUS for sign in signs)
    states = single_click(alpha, signs[0]), single_click(alpha, signs[1])
    success, weights = kept_by_gates(EPL, states, (bells[0], bells[1]))
    assert success == pytest.approx((1 - alpha) ** 2 / 2, abs=1e-12)
    assert weights == pytest.approx([1, 0, 0, 0], abs=1e-12)


def test_epl_makes_a_pure_pair_of_what_single_click_links_herald_over_lossy_fibre() -> None:
    model = SingleClick(0.2, 0.2, 0.01, 0.01).model()
    for kept, spent in product(model.states, repeat=2):
        success, weights = kept_by_gates(EPL, (list(kept.pauli), list(spent.pauli)), (kept.bell, spent.bell))
        assert weights[0] == pytest.approx(1, abs=1e-12)
        assert success == pytest.approx(kept.fidelity * spent.fidelity / 2, abs=1e-12)


@EVERY
def test_the_engine_and_qutip_leave_the_same_pair_of_two_arbitrary_ones(name: str) -> None:
    rng = np.random.default_rng(11)
    protocol = PROTOCOLS[name]
    rhos = [qutip.rand_dm([2, 2], seed=rng) for _ in range(2)]
    paulis = [qutip.qeye(2), qutip.sigmax(), qutip.sigmay(), qutip.sigmaz()]
    states = [[(qutip.tensor(p, q) * rho).tr().real for p in paulis for q in paulis] for rho in rhos]
    turns = int(rng.integers(len(protocol.turns))), int(rng.integers(len(protocol.turns)))

    rho = qutip.tensor(rhos)  # alice's and bob's half of the kept pair, then of the spent pair
    for pair, turn in enumerate(turns):
        for end in (0, 1):
            (x, y, z), angle_rad = protocol.turns[turn].rotation(head=end == 0)
            spin = (x * paulis[1] + y * paulis[2] + z * paulis[3]) / math.hypot(x, y, z)
            factors = [paulis[0]] * 4
            factors[2 * pair + end] = (-0.5j * angle_rad * spin).expm()
            u = qutip.tensor(factors)
            rho = u * rho * u.dag()
    bits = [qutip.basis(2, k).proj() for k in (0, 1)]
    for end in (0, 1):
        unflipped, flipped = [paulis[0]] * 4, [paulis[0]] * 4
        unflipped[end], flipped[end], flipped[2 + end] = bits[0], bits[1], paulis[1]
        u = qutip.tensor(unflipped) + qutip.tensor(flipped)
        rho = u * rho * u.dag()

    for outcomes in product((0, 1), repeat=2):
        projector = qutip.tensor(paulis[0], paulis[0], bits[outcomes[0]], bits[outcomes[1]])
        rest = (projector * rho * projector).ptrace([0, 1])
        likely, engine = run(protocol, (states[0], states[1]), (0, 0), turns, outcomes)
        assert likely == pytest.approx(rest.tr().real, abs=1e-12)
        for bell, ket in enumerate(("00", "01", "10", "11")):
            expected = (qutip.bell_state(ket).proj() * rest).tr().real / likely
            assert engine.snapshot(*KEPT).fidelity(bell) == pytest.approx(expected, abs=1e-12)


def test_no_answer_of_a_read_out_keeps_no_pair() -> None:
    for protocol in PROTOCOLS.values():
        for outcomes in [(-1, 0), (0, -1), (1, -1), (-1, 1), (-1, -1)]:
            assert protocol.verdict((2, 2), (0, 0), outcomes) is None
