"""A node's quantum memory against a model that counts."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from emulator import Bank, Engine, MemoryFullError, MemoryNoise, QuantumMemory, Qubit, QubitError

BANKS = {"west": Bank(3), "east": Bank(2, MemoryNoise(t2_s=1.0))}
OWNERS = [("c1", "bob"), ("c2", "carol")]
ALICE = ("c1", "bob")


def memory_of(engine: Engine | None = None, **banks: int) -> QuantumMemory:
    return QuantumMemory(engine or Engine(), "alice", {name: Bank(n) for name, n in banks.items()})


class MemoryMachine(RuleBasedStateMachine):
    """Whatever sequence of calls, the books agree."""

    qubits: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.engine = Engine()
        self.memory = QuantumMemory(self.engine, "alice", BANKS)
        self.reserved: Counter[Any] = Counter()  # by bank and owner
        self.taken: list[Qubit] = []
        self.borrowed: dict[Qubit, bool] = {}  # and whether they are kept
        self.names: set[Any] = set()

    @initialize()
    def nothing_is_used(self) -> None:
        assert self.memory.in_use == self.memory.reserved == 0

    def used(self, bank: str, owner: Any) -> int:
        return sum((q.bank, q.owner) == (bank, owner) for q in self.taken)

    def left(self, bank: str) -> int:
        kept = sum(kept and q.bank == bank for q, kept in self.borrowed.items())
        return BANKS[bank].positions - kept - sum(n for (b, _), n in self.reserved.items() if b == bank)

    def free_positions(self, bank: str) -> int:
        return BANKS[bank].positions - sum(q.bank == bank for q in [*self.taken, *self.borrowed])

    def claims(self, bank: str) -> int:
        return sum(n - self.used(b, owner) for (b, owner), n in self.reserved.items() if b == bank)

    def spare(self, bank: str, owner: Any) -> int:
        return min(self.reserved[bank, owner] - self.used(bank, owner), self.free_positions(bank))

    @rule(bank=st.sampled_from(list(BANKS)), owner=st.sampled_from(OWNERS), positions=st.integers(0, 4))
    def reserve(self, bank: str, owner: Any, positions: int) -> None:
        granted = self.memory.reserve(bank, owner, positions)
        assert granted == (positions <= self.left(bank))
        if granted:
            self.reserved[bank, owner] += positions

    @rule(bank=st.sampled_from(list(BANKS)), owner=st.sampled_from(OWNERS), positions=st.integers(1, 4))
    def unreserve(self, bank: str, owner: Any, positions: int) -> None:
        if self.reserved[bank, owner] - self.used(bank, owner) < positions:
            with pytest.raises(RuntimeError, match="gives back positions"):
                self.memory.unreserve(bank, owner, positions)
        else:
            self.memory.unreserve(bank, owner, positions)
            self.reserved[bank, owner] -= positions

    @precondition(lambda self: self.reserved)
    @rule(data=st.data())
    def release(self, data: Any) -> None:
        bank, owner = data.draw(st.sampled_from(sorted(self.reserved)))
        if self.used(bank, owner):
            with pytest.raises(RuntimeError, match=f"gives back bank '{bank}' while it still uses"):
                self.memory.release(bank, owner)
        elif self.reserved[bank, owner]:
            self.memory.release(bank, owner)
            self.reserved[bank, owner] = 0

    @rule(bank=st.sampled_from(list(BANKS)), owner=st.sampled_from(OWNERS))
    def take(self, bank: str, owner: Any) -> None:
        if self.spare(bank, owner) < 1:
            with pytest.raises(MemoryFullError, match=f"no spare position in bank '{bank}'"):
                self.memory.take(bank, owner)
            return
        qubit = self.memory.take(bank, owner)
        assert qubit.id not in self.names
        assert (qubit.bank, qubit.owner, qubit.id[0]) == (bank, owner, "alice")
        self.names.add(qubit.id)
        self.taken.append(qubit)
        self.engine.new_qubit(qubit.id, 0)

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def free(self, data: Any) -> None:
        qubit = data.draw(st.sampled_from(self.taken))
        self.memory.free(qubit)
        self.taken.remove(qubit)
        assert not self.engine.exists(qubit.id)
        with pytest.raises(LookupError):
            self.memory.free(qubit)

    @rule(bank=st.sampled_from(list(BANKS)))
    def borrow(self, bank: str) -> None:
        possible = self.free_positions(bank) > self.claims(bank)
        qubit = self.memory.borrow(bank, ("link", "bob"))
        assert (qubit is not None) == possible
        if qubit is not None:
            assert qubit.id not in self.names
            self.names.add(qubit.id)
            self.borrowed[qubit] = False
            self.engine.new_qubit(qubit.id, 0)

    @precondition(lambda self: not all(self.borrowed.values()))
    @rule(data=st.data())
    def keep(self, data: Any) -> None:
        qubit = data.draw(st.sampled_from([q for q, kept in self.borrowed.items() if not kept]))
        possible = self.left(qubit.bank) > 0
        assert self.memory.keep(qubit) == possible
        self.borrowed[qubit] = possible

    @precondition(lambda self: self.borrowed)
    @rule(data=st.data())
    def free_borrowed(self, data: Any) -> None:
        qubit = data.draw(st.sampled_from(list(self.borrowed)))
        assert self.memory.borrowed(qubit)
        self.memory.free(qubit)
        del self.borrowed[qubit]
        assert not self.memory.borrowed(qubit)

    @rule(seldom=st.integers(0, 9))
    def lose(self, seldom: int) -> None:
        if seldom:
            return
        self.memory.lose()
        self.reserved.clear()
        self.taken.clear()
        self.borrowed.clear()

    @invariant()
    def the_books_agree(self) -> None:
        memory = self.memory
        assert memory.in_use == len(self.taken) + len(self.borrowed) == len(self.engine)
        assert memory.reserved == sum(self.reserved.values())
        positions = [qubit.id[1] for qubit in [*self.taken, *self.borrowed]]
        assert len(set(positions)) == len(positions)
        for bank in BANKS:
            assert memory.available(bank) == self.left(bank) >= 0
            assert memory.surplus(bank) == self.free_positions(bank) - self.claims(bank)
            for owner in OWNERS:
                assert memory.taken(bank, owner) == self.used(bank, owner)
                assert memory.spare(bank, owner) == self.spare(bank, owner)


MemoryMachine.TestCase.settings = settings(
    derandomize=True, deadline=None, database=None, max_examples=60, stateful_step_count=40
)
TestWhateverIsDoneTheBooksAgree = MemoryMachine.TestCase


def test_positions_are_numbered_across_banks_and_used_again_with_a_new_generation() -> None:
    memory = memory_of(west=2, east=1)
    for bank, positions in (("west", 2), ("east", 1)):
        assert memory.reserve(bank, ALICE, positions)
    first = [memory.take(bank, ALICE) for bank in ("west", "west", "east")]
    assert [qubit.id for qubit in first] == [("alice", 0, 1), ("alice", 1, 1), ("alice", 2, 1)]
    memory.free(first[1])
    assert memory.take("west", ALICE).id == ("alice", 1, 2)


def test_an_empty_bank_has_nothing_to_give() -> None:
    memory = memory_of(none=0)
    assert memory.available("none") == 0
    assert not memory.reserve("none", ALICE, 1)
    with pytest.raises(MemoryFullError):
        memory.take("none", ALICE)


def test_generations_never_repeat_not_even_after_all_was_lost() -> None:
    memory, seen = memory_of(west=2), list[Any]()
    for _ in range(20):
        assert memory.reserve("west", ALICE, 2)
        qubits = [memory.take("west", ALICE) for _ in range(2)]
        memory.free(qubits[1])
        seen += [q.id for q in [*qubits, memory.take("west", ALICE)]]
        memory.lose()
        assert memory.in_use == memory.reserved == 0
    assert len(set(seen)) == len(seen) == 60


def test_a_handle_of_a_lost_qubit_is_of_no_use() -> None:
    memory = memory_of(west=1)
    memory.reserve("west", ALICE, 1)
    old = memory.take("west", ALICE)
    memory.lose()
    memory.reserve("west", ALICE, 1)
    new = memory.take("west", ALICE)
    with pytest.raises(LookupError):
        memory.free(old)
    assert memory.in_use == 1
    memory.free(new)


def test_what_is_full_says_for_whom() -> None:
    memory = memory_of(west=1)
    memory.reserve("west", ("c1", "bob"), 1)
    assert not memory.reserve("west", ("c2", "bob"), 1)
    with pytest.raises(MemoryFullError, match=r"alice: \('c2', 'bob'\) has no spare position in bank 'west'"):
        memory.take("west", ("c2", "bob"))


def test_nothing_can_be_given_back_twice_or_while_it_is_used() -> None:
    memory = memory_of(west=1)
    memory.reserve("west", ALICE, 1)
    qubit = memory.take("west", ALICE)
    with pytest.raises(RuntimeError, match="while it still uses"):
        memory.release("west", ALICE)
    memory.free(qubit)
    memory.release("west", ALICE)
    with pytest.raises(LookupError):
        memory.release("west", ALICE)
    assert memory.available("west") == 1


def test_a_position_is_open_in_the_engine_while_it_is_in_use_with_the_noise_of_its_bank() -> None:
    engine = Engine()
    memory = QuantumMemory(engine, "alice", {"west": Bank(1, MemoryNoise(t2_s=1.0))})
    memory.reserve("west", ALICE, 1)
    qubit = memory.take("west", ALICE)
    engine.new_qubit(qubit.id, 5)
    ((noise, begun_ns, _),) = engine.snapshot(qubit.id).memories
    assert (noise, begun_ns) == (MemoryNoise(t2_s=1.0), 5)
    memory.free(qubit)
    with pytest.raises(QubitError):
        engine.new_qubit(qubit.id, 6)


def test_a_handle_says_what_it_is_and_is_no_value() -> None:
    memory = memory_of(west=1)
    memory.reserve("west", ALICE, 1)
    qubit = memory.take("west", ALICE)
    assert repr(qubit) == "<Qubit alice[0] generation 1, of c1>"
    assert qubit != Qubit(qubit.id, qubit.bank, qubit.owner)
