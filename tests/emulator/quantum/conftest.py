"""The oracle: quantum mechanics as in the textbook, on density matrices, by QuTiP. Shares no code with the engine.

Traps that the helpers avoid: `sigmam()` is |1><0|, so relaxation to |0> is `destroy(2)`; `ptrace` keeps the original
order, so reordering is `permute`; `Qobj` needs its dims; `to_kraus` drops what is below 1e-9 unless told otherwise.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pytest
import qutip
from numpy.random import Generator
from numpy.typing import NDArray

from emulator.quantum import PERFECT, Engine, Noise, QubitId, from_density, to_density

Matrix = NDArray[np.complex128]
ZERO, ONE = qutip.basis(2, 0), qutip.basis(2, 1)


def _ket(first: str, sign: int, second: str) -> qutip.Qobj:
    one, other = (qutip.tensor(*((ZERO, ONE)[int(bit)] for bit in bits)) for bits in (first, second))
    return (one + sign * other).unit()


class Oracle:
    """Operators on chosen qubits of n, channels as sums of Kraus operators, projections."""

    paulis = (qutip.qeye(2), qutip.sigmax(), qutip.sigmay(), qutip.sigmaz())
    # Phi+, Phi-, Psi+, Psi-, written out, so that the numbering of Bell states has an origin outside the engine.
    bell_kets = (_ket("00", 1, "11"), _ket("00", -1, "11"), _ket("01", 1, "10"), _ket("01", -1, "10"))

    def random_state(self, n: int, rng: Generator) -> qutip.Qobj:
        """Return a random density matrix of random rank, from pure to full."""
        return qutip.rand_dm([2] * n, rank=int(rng.integers(1, 2**n + 1)), seed=rng)

    def qobj(self, rho: Matrix) -> qutip.Qobj:
        """Return a matrix as an operator on qubits."""
        n = len(rho).bit_length() - 1
        return qutip.Qobj(rho, dims=[[2] * n, [2] * n])

    def on(self, n: int, operators: Mapping[int, qutip.Qobj]) -> qutip.Qobj:
        """Return the operator on n qubits that is the given one on each of some, and the identity on the others."""
        return qutip.tensor([operators.get(k, self.paulis[0]) for k in range(n)])

    def on_two(self, n: int, a: int, b: int, operator: qutip.Qobj) -> qutip.Qobj:
        """Return a two-qubit operator placed on qubits a (more significant) and b of n: by its Pauli expansion."""
        out = 0
        for p in self.paulis:
            for q in self.paulis:
                out += (qutip.tensor(p, q) * operator).tr() / 4 * self.on(n, {a: p, b: q})
        return out

    def bell(self, n: int, a: int, b: int, m: int) -> qutip.Qobj:
        """Return the projector on Bell state m of qubits a and b."""
        return self.on_two(n, a, b, self.bell_kets[m].proj())

    def apply(self, rho: qutip.Qobj, kraus: Iterable[qutip.Qobj]) -> qutip.Qobj:
        """Return the sum of K rho K^dagger."""
        return sum(k * rho * k.dag() for k in kraus)

    def local(self, rho: qutip.Qobj, q: int, kraus: Iterable[qutip.Qobj]) -> qutip.Qobj:
        """Return a state after a channel on one of its qubits."""
        n = len(rho.dims[0])
        return self.apply(rho, [self.on(n, {q: k}) for k in kraus])

    def depolarised(self, rho: qutip.Qobj, qubits: Sequence[int], probability: float) -> qutip.Qobj:
        """Return the state after its qubits suffered a random Pauli, the identity among them, with a probability."""
        n, count = len(rho.dims[0]), 4 ** len(qubits)
        out = (1 - probability) * rho
        for k in range(count):
            p = self.on(n, {q: self.paulis[k >> 2 * i & 3] for i, q in enumerate(qubits)})
            out += probability / count * (p * rho * p)
        return out

    def dephasing(self, contrast: float) -> list[qutip.Qobj]:
        """Return the Kraus operators of a phase flip that leaves the given contrast of the coherences."""
        return [math.sqrt((1 + contrast) / 2) * self.paulis[0], math.sqrt((1 - contrast) / 2) * self.paulis[3]]

    def decay(self, t1_s: float, t2_s: float, depolarising_s: float, z_equilibrium: float) -> list[qutip.Qobj]:
        """Return the jump operators, in sqrt(1/s), of relaxation, dephasing and depolarising."""
        rate, pure = 1 / t1_s, 1 / t2_s - 0.5 / t1_s
        return [
            math.sqrt(rate * (1 + z_equilibrium) / 2) * qutip.destroy(2),
            math.sqrt(rate * (1 - z_equilibrium) / 2) * qutip.create(2),
            math.sqrt(max(pure, 0.0) / 2) * self.paulis[3],
            *(math.sqrt(0.25 / depolarising_s) * s for s in self.paulis[1:]),
        ]

    def evolution(
        self, jumps: Sequence[qutip.Qobj], time_s: float, hamiltonian: qutip.Qobj | None = None
    ) -> list[qutip.Qobj]:
        """Return the Kraus operators of exp(L t), L the Liouvillian of one qubit."""
        h = 0 * self.paulis[0] if hamiltonian is None else hamiltonian
        return qutip.to_kraus((qutip.liouvillian(h, list(jumps)) * time_s).expm(), tol=1e-15)

    def bloch_projector(self, direction: Sequence[float], outcome: int) -> qutip.Qobj:
        """Return the projector on the qubit state along (outcome 0) or against (1) a Bloch vector."""
        spin = sum(c * s for c, s in zip(direction, self.paulis[1:], strict=True))
        return (self.paulis[0] + (1 - 2 * outcome) * spin) / 2


class Lab:
    """An engine that holds random states of given sizes, beside the density matrix of all their qubits together."""

    def __init__(
        self, oracle: Oracle, sizes: Sequence[int], rng: Generator, noise: Noise | Sequence[Noise] = PERFECT
    ) -> None:
        self.oracle = oracle
        self.engine = Engine()
        self.ids: list[QubitId] = [(f"node {k}", k, 1) for k in range(sum(sizes))]
        noises = noise if isinstance(noise, Sequence) else [noise] * len(self.ids)
        for qubit, n in zip(self.ids, noises, strict=True):
            self.engine.open(qubit, n)
        parts, first = [], 0
        for size in sizes:
            parts.append(oracle.random_state(size, rng))
            self.engine.new_state(from_density(parts[-1].full()), self.ids[first : first + size], 0)
            first += size
        self.rho = qutip.tensor(parts)

    def state(self, ids: Sequence[QubitId] | None = None, time_ns: int = 0) -> qutip.Qobj:
        """Return what the engine says is the state of all its qubits, in the order of `ids`."""
        wanted = self.engine.qubits if ids is None else list(ids)
        assert sorted(wanted) == self.engine.qubits
        axes: list[QubitId] = []
        parts = []
        for qubit in wanted:
            if qubit not in axes:
                r, qubits = self.engine.density_tensor(qubit, time_ns)
                assert r.flat[0] == 1
                parts.append(self.oracle.qobj(to_density(r)))
                axes += qubits
        return qutip.tensor(parts).permute([axes.index(q) for q in wanted])

    def error(self, expected: qutip.Qobj, ids: Sequence[QubitId] | None = None, time_ns: int = 0) -> float:
        """Return the largest difference of any element between the engine's state and the expected one."""
        return float(np.abs(self.state(ids, time_ns).full() - expected.full()).max())


class Labs:
    """Makes oracles and labs; one object, so that a property-based test can ask for it."""

    oracle = Oracle()

    def __call__(self, sizes: Sequence[int], seed: int, noise: Noise | Sequence[Noise] = PERFECT) -> Lab:
        """Return a lab whose states follow from the seed."""
        return Lab(self.oracle, sizes, np.random.default_rng(seed), noise)


@pytest.fixture(scope="session")
def oracle() -> Oracle:
    """Return the oracle."""
    return Labs.oracle


@pytest.fixture(scope="session")
def lab() -> Labs:
    """Return a maker of labs: `lab(sizes, seed)`."""
    return Labs()
