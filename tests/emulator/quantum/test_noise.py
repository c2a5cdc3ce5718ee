"""Storage noise against Kraus sums and Liouvillian exponentials by QuTiP, and the rules of when it acts."""

import math
from typing import Any

import numpy as np
import pytest
import qutip
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.quantum import (
    PERFECT,
    Engine,
    LindbladNoise,
    MemoryNoise,
    QubitError,
    from_density,
    gates,
    transfer_matrix,
)

EXACT = settings(derandomize=True, deadline=None, max_examples=35, database=None)
SEED = st.integers(0, 2**32 - 1)
SIZES = st.sampled_from([(1,), (2,), (3,), (1, 2), (4,)])
BIG = st.sampled_from([(5,), (6,)])
SECOND = 10**9
TIMES = st.integers(0, 3 * SECOND)
RATES = st.floats(0.01, 50.0)
# T2 as a fraction of its largest value, 2 T1.
MARKOVIAN = st.builds(
    lambda t1, part, depolarising, z: MemoryNoise(t1, 2 * t1 * part, depolarising, z),
    RATES,
    st.floats(0.01, 1.0),
    st.one_of(RATES, st.just(math.inf)),
    st.floats(-1, 1),
)
OMEGA = 3.0
# z' = W y, y' = -g y - W z with g = 2 W: the two eigenvectors coincide, so the generator cannot be diagonalised.
CRITICAL = ([math.sqrt(OMEGA) * qutip.sigmaz()], OMEGA / 2 * qutip.sigmax())
NEARLY_CRITICAL = ([math.sqrt(OMEGA * (1 + 1e-7)) * qutip.sigmaz()], OMEGA / 2 * qutip.sigmax())
DRIVEN = (
    [0.6 * qutip.destroy(2), 0.2 * qutip.create(2), 0.3 * qutip.sigmaz()],
    4.0 * qutip.sigmax() - 1.5 * qutip.sigmaz(),
)
ODD = ([0.4 * qutip.destroy(2) + 0.3j * qutip.sigmax(), 0.1 * qutip.sigmay()], None)
LINDBLAD = {"critical": CRITICAL, "nearly critical": NEARLY_CRITICAL, "driven": DRIVEN, "odd": ODD}


def lindblad(jumps: list[Any], hamiltonian: Any) -> LindbladNoise:
    return LindbladNoise([j.full() for j in jumps], None if hamiltonian is None else hamiltonian.full())


def storage(oracle: Any, noise: MemoryNoise, time_ns: int) -> Any:
    jumps = oracle.decay(noise.t1_s, noise.t2_s, noise.depolarising_s, noise.z_equilibrium)
    return oracle.evolution(jumps, time_ns / SECOND)


@EXACT
@given(data=st.data(), sizes=st.one_of(SIZES, BIG), seed=SEED, noise=MARKOVIAN, time_ns=TIMES)
def test_relaxation_dephasing_and_depolarising_together(
    lab: Any, data: Any, sizes: tuple[int, ...], seed: int, noise: MemoryNoise, time_ns: int
) -> None:
    q = data.draw(st.integers(0, sum(sizes) - 1), label="qubit")
    one = lab(sizes, seed, [noise if k == q else PERFECT for k in range(sum(sizes))])
    expected = one.oracle.local(one.rho, q, storage(one.oracle, noise, time_ns))
    assert one.error(expected, time_ns=time_ns) < 1e-12


@EXACT
@given(n=st.integers(1, 3), seed=SEED, noises=st.lists(MARKOVIAN, min_size=3, max_size=3), time_ns=TIMES)
def test_all_qubits_of_a_state_decohere_each_as_its_own_memory_does(
    lab: Any, n: int, seed: int, noises: list[MemoryNoise], time_ns: int
) -> None:
    one = lab((n,), seed, noises[:n])
    jumps = [
        one.oracle.on(n, {q: j})
        for q, noise in enumerate(noises[:n])
        for j in one.oracle.decay(noise.t1_s, noise.t2_s, noise.depolarising_s, noise.z_equilibrium)
    ]
    expected = (qutip.liouvillian(0 * one.rho, jumps) * (time_ns / SECOND)).expm()(one.rho)
    assert one.error(expected, time_ns=time_ns) < 1e-12


@EXACT
@given(
    data=st.data(),
    sizes=SIZES,
    seed=SEED,
    noise=st.builds(MemoryNoise, dephasing_s=RATES, dephasing_exponent=st.floats(0.5, 4.0), t2_s=RATES),
    stops=st.lists(TIMES, min_size=1, max_size=4).map(sorted),
)
def test_stretched_dephasing_counts_from_the_beginning_of_the_storage(
    lab: Any, data: Any, sizes: tuple[int, ...], seed: int, noise: MemoryNoise, stops: list[int]
) -> None:
    q = data.draw(st.integers(0, sum(sizes) - 1), label="qubit")
    one = lab(sizes, seed, noise)
    for other in set(one.ids) - {one.ids[q]}:
        one.engine.move(other, spare(one, other), 0)  # to a perfect memory: only qubit q is to be seen
    ids = [qubit if k == q else spare(one, qubit) for k, qubit in enumerate(one.ids)]
    for time_ns in stops:
        one.engine.frame(one.ids[q], 0, time_ns)  # touched on the way, which must not restart it
    t = stops[-1] / SECOND
    contrast = math.exp(-((t / noise.dephasing_s) ** noise.dephasing_exponent)) * math.exp(-t / noise.t2_s)
    expected = one.oracle.local(one.rho, q, one.oracle.dephasing(contrast))
    assert one.error(expected, ids, stops[-1]) < 1e-12


def spare(one: Any, qubit: Any) -> Any:
    position = (qubit[0], 100 + qubit[1], 1)
    if position not in one.engine._open:
        one.engine.open(position)
    return position


@EXACT
@given(data=st.data(), sizes=st.one_of(SIZES, BIG), seed=SEED, model=st.sampled_from(sorted(LINDBLAD)), time_ns=TIMES)
def test_any_lindblad_model(lab: Any, data: Any, sizes: tuple[int, ...], seed: int, model: str, time_ns: int) -> None:
    q = data.draw(st.integers(0, sum(sizes) - 1), label="qubit")
    jumps, hamiltonian = LINDBLAD[model]
    noise = lindblad(jumps, hamiltonian)
    one = lab(sizes, seed, [noise if k == q else PERFECT for k in range(sum(sizes))])
    expected = one.oracle.local(one.rho, q, one.oracle.evolution(jumps, time_ns / SECOND, hamiltonian))
    assert one.error(expected, time_ns=time_ns) < 1e-12


@settings(EXACT, max_examples=150)
@given(seed=SEED, model=st.one_of(st.just("any"), st.sampled_from(sorted(LINDBLAD))), time_ns=TIMES)
def test_lindblad_models_in_any_basis_keep_the_trace_exactly(oracle: Any, seed: int, model: str, time_ns: int) -> None:
    rng = np.random.default_rng(seed)
    jumps, hamiltonian = LINDBLAD.get(
        model, ([qutip.Qobj(rng.normal(size=(2, 4)).view(complex)) for _ in range(3)], None)
    )
    u = qutip.rand_unitary(2, seed=rng)
    jumps = [u * j * u.dag() for j in jumps]
    hamiltonian = None if hamiltonian is None else u * hamiltonian * u.dag()
    matrix = lindblad(jumps, hamiltonian).matrix(0, time_ns)
    assert matrix[0].tolist() == [1, 0, 0, 0]
    kraus = oracle.evolution(jumps, time_ns / SECOND, hamiltonian)
    assert np.abs(matrix - transfer_matrix(*(k.full() for k in kraus))).max() < 1e-12


def test_the_critical_generator_cannot_be_diagonalised() -> None:
    noise = lindblad(*CRITICAL)
    assert np.linalg.cond(np.linalg.eig(noise.generator)[1]) > 1e7
    assert lindblad(*DRIVEN)._eigen is not None
    assert noise._eigen is None
    assert lindblad(*NEARLY_CRITICAL)._eigen is None


@EXACT
@given(noise=MARKOVIAN, from_ns=TIMES, dt_ns=TIMES)
def test_the_closed_form_is_the_lindblad_model(oracle: Any, noise: MemoryNoise, from_ns: int, dt_ns: int) -> None:
    jumps = oracle.decay(noise.t1_s, noise.t2_s, noise.depolarising_s, noise.z_equilibrium)
    general = lindblad(jumps, None)
    assert general.factors(from_ns, from_ns + dt_ns) is None
    difference = noise.matrix(from_ns, from_ns + dt_ns) - general.matrix(from_ns, from_ns + dt_ns)
    assert np.abs(difference).max() < 1e-12


def test_a_hamiltonian_alone_is_a_rotation(oracle: Any) -> None:
    noise = LindbladNoise([], 0.5 * math.pi * qutip.sigmax().full())
    assert np.allclose(noise.matrix(0, SECOND), np.diag([1, 1, -1, -1]), rtol=0, atol=1e-14)
    assert LindbladNoise([]).matrix(0, SECOND).tolist() == np.eye(4).tolist()
    assert oracle.paulis[1] == qutip.sigmax()


def test_the_limits_of_the_closed_form() -> None:
    for far in (10**12, 10**15):
        assert MemoryNoise().factors(0, far) == (1.0, 1.0, 0.0)
        c, e, s = MemoryNoise(t2_s=1.0).factors(0, far)  # T1 infinite: only the coherences go
        assert (e, s) == (1.0, 0.0)
        assert c < 1e-300
        assert MemoryNoise(t1_s=1.0, t2_s=2.0, z_equilibrium=0.4).factors(0, far)[1:] == (0.0, 0.4)
        assert MemoryNoise(depolarising_s=1.0).factors(0, far) == (0.0, 0.0, 0.0)
        assert MemoryNoise(dephasing_s=1.0).factors(0, far) == (0.0, 1.0, 0.0)
        assert MemoryNoise(dephasing_s=1.0).factors(far, far) == (1.0, 1.0, 0.0)
    one_s = MemoryNoise(t1_s=3.0, t2_s=2.0, z_equilibrium=-1.0).factors(5 * SECOND, 6 * SECOND)
    assert one_s == pytest.approx((math.exp(-1 / 2), math.exp(-1 / 3), math.exp(-1 / 3) - 1), abs=1e-15)


@pytest.mark.parametrize("dt_ns", [0, 1, 10**6, 10**9, 10**13])
def test_a_lindblad_model_keeps_the_trace_and_finds_its_equilibrium(dt_ns: int) -> None:
    for jumps, hamiltonian in LINDBLAD.values():
        m = lindblad(jumps, hamiltonian).matrix(0, dt_ns)
        assert m[0].tolist() == [1, 0, 0, 0]
        assert np.abs(m[1:, 1:]).max() <= 1 + 1e-12
    decay = lindblad([0.7 * qutip.destroy(2)], None).matrix(0, 10**13)
    assert np.allclose(decay @ [1, 0.6, 0, -0.8], [1, 0, 0, 1], rtol=0, atol=1e-14)


@EXACT
@given(
    data=st.data(), sizes=st.one_of(SIZES, BIG), seed=SEED, contrast=st.floats(-1, 1), time_ns=st.sampled_from([0, 7])
)
def test_dephasing_by_hand(
    lab: Any, data: Any, sizes: tuple[int, ...], seed: int, contrast: float, time_ns: int
) -> None:
    one = lab(sizes, seed)
    q = data.draw(st.integers(0, sum(sizes) - 1), label="qubit")
    one.engine.dephase(one.ids[q], contrast, time_ns)
    assert one.error(one.oracle.local(one.rho, q, one.oracle.dephasing(contrast)), time_ns=time_ns) < 1e-13


@EXACT
@given(seed=SEED, first=TIMES, second=TIMES)
def test_a_moved_qubit_begins_a_new_storage_with_the_noise_of_its_new_place(
    lab: Any, seed: int, first: int, second: int
) -> None:
    gaussian = MemoryNoise(dephasing_s=2.0)
    other = MemoryNoise(dephasing_s=3.0, dephasing_exponent=3.0, t1_s=4.0, t2_s=5.0)
    one = lab((3,), seed, [PERFECT, gaussian, PERFECT])
    place = ("elsewhere", 0, 1)
    one.engine.open(place, other)
    one.engine.move(one.ids[1], place, first)
    assert not one.engine.exists(one.ids[1])
    contrast = math.exp(-((first / 2e9) ** 2)) * math.exp(-((second / 3e9) ** 3))
    rho = one.oracle.local(one.rho, 1, one.oracle.dephasing(contrast))
    rho = one.oracle.local(rho, 1, storage(one.oracle, other, second))
    assert one.error(rho, [one.ids[0], place, one.ids[2]], first + second) < 1e-12


def test_gates_measurements_and_swaps_elsewhere_do_not_restart_a_storage() -> None:
    engine = Engine()
    gaussian = MemoryNoise(dephasing_s=1.0)
    a, b, c, d = ids = [("n", k, 1) for k in range(4)]
    for qubit in ids:
        engine.open(qubit, gaussian if qubit == a else PERFECT)
    plus = from_density(np.full((2, 2), 0.5 + 0j))
    engine.new_state(np.multiply.outer(np.diag([1.0, 1.0, -1.0, 1.0]), plus), [a, b, d], 0)
    engine.new_qubit(c, 0)
    engine.frame(a, 3, SECOND // 4)
    engine.frame(a, 3, SECOND // 4)
    engine.measure(d, SECOND // 3, u=(0.1, 0.1))
    assert engine.swap(b, c, SECOND // 2, u=(0.1, 0.1, 0.1)) is not None
    assert engine.snapshot(a).memories == ((gaussian, 0, SECOND // 4),)
    contrast = engine.snapshot(a).at(SECOND).r
    assert contrast == pytest.approx((1, 0, 0, contrast[3]), abs=1e-15)  # c was |0>, so a is now an eigenstate of Z
    engine.gate(gates.H, a, time_ns=SECOND // 2)
    x = math.hypot(*engine.snapshot(a).at(SECOND).r[1:3])
    assert x == pytest.approx(math.exp(-1 + 1 / 4), abs=1e-12)


def test_a_pair_decoheres_from_when_its_photons_left(oracle: Any) -> None:
    engine = Engine()
    a, b = ("a", 0, 1), ("b", 0, 1)
    noise = MemoryNoise(t1_s=1.0, t2_s=1.0)
    engine.open(a, noise)
    engine.open(b, noise)
    engine.new_pair(from_density(oracle.bell_kets[0].proj().full()).ravel().tolist(), a, b, times_ns=(100, 40), bell=0)
    with pytest.raises(QubitError, match="a position 0"):
        engine.frame(a, 0, 99)
    engine.frame(a, 0, SECOND)
    engine.frame(b, 0, SECOND)
    rho = oracle.local(oracle.bell_kets[0].proj(), 0, storage(oracle, noise, SECOND - 100))
    rho = oracle.local(rho, 1, storage(oracle, noise, SECOND - 40))
    assert engine.snapshot(a, b).r == pytest.approx(from_density(rho.full()).ravel().tolist(), abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"t1_s": 1.0}, "t2_s = inf must not exceed 2 x t1_s = 2.0"),
        ({"t1_s": 1.0, "t2_s": 2.001}, "t2_s = 2.001 must not exceed 2 x t1_s = 2.0"),
        ({"t1_s": 0.0, "t2_s": 0.0}, "t1_s = 0.0 must be greater than 0"),
        ({"t1_s": 1.0, "t2_s": 0.0}, "t2_s = 0.0 must be greater than 0"),
        ({"t1_s": -1.0, "t2_s": 1.0}, "t1_s = -1.0 must be greater than 0"),
        ({"t2_s": math.nan}, "t2_s = nan must be greater than 0"),
        ({"depolarising_s": 0}, "depolarising_s = 0 must be greater than 0"),
        ({"dephasing_s": -2.0}, "dephasing_s = -2.0 must be greater than 0"),
        ({"dephasing_exponent": 0.0}, "dephasing_exponent = 0.0 must be greater than 0"),
        ({"dephasing_exponent": math.inf}, "dephasing_exponent = inf must not exceed 10"),
        ({"z_equilibrium": 1.1}, r"z_equilibrium = 1.1 must lie in \[-1, 1\]"),
        ({"z_equilibrium": math.nan}, "z_equilibrium = nan"),
    ],
)
def test_impossible_memories_are_refused(arguments: dict[str, float], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        MemoryNoise(**arguments)


def test_t2_may_be_twice_t1() -> None:
    assert MemoryNoise(t1_s=0.3, t2_s=0.6).factors(0, SECOND)[0] == pytest.approx(math.exp(-1 / 0.6))


def test_impossible_lindblad_models_are_refused() -> None:
    with pytest.raises(ValueError, match="Hermitian"):
        LindbladNoise([], [[0, 1], [0, 0]])
    with pytest.raises(ValueError, match="2x2"):
        LindbladNoise([np.eye(4)])


@pytest.mark.parametrize("contrast", [1.0001, -1.0001, math.nan])
def test_a_contrast_beyond_one_is_refused(lab: Any, contrast: float) -> None:
    one = lab((1,), 1)
    with pytest.raises(ValueError, match="contrast = "):
        one.engine.dephase(one.ids[0], contrast, 0)
