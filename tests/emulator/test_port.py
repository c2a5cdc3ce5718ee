"""A node's end of a link, without a clock: which sessions it has, and how many attempts it has made."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import FULL, UNBIASED, UNKNOWN, Bank, Begin, Engine, Message, Port, QuantumMemory, Start, Stop


class Node:
    """What a port needs: memory, and somewhere to send."""

    def __init__(self, positions: int = 4, patience_ns: int = 0) -> None:
        self.sent: list[tuple[str, Message]] = []
        self.memory = QuantumMemory(Engine(), "alice", {"west": Bank(positions)})
        self.port = Port("station", "west", patience_ns=patience_ns)

    def send(self, to: str, message: Message) -> None:
        self.sent.append((to, message))

    def fill(self, label: str, positions: int = 0) -> None:
        if positions:
            assert self.memory.reserve("west", (label, "bob"), positions)
        self.port.fill((label, "bob"), self.memory, self.send)

    def begun(self, session: int, first_ns: int, period_ns: int) -> None:
        self.port.begun(Begin(session, first_ns, period_ns, UNKNOWN, UNBIASED, FULL, 0.1))


def active(node: Node, label: str) -> int:
    return sum(session.label == label for session in node.port.sessions.values())


def test_every_spare_position_is_offered_once() -> None:
    node = Node(patience_ns=77)
    node.fill("c1", 2)
    node.fill("c1")
    node.fill("c2", 1)
    assert node.sent == [
        ("station", Start("c1", 1, 0, 1, 77, 0.0, 0.0)),
        ("station", Start("c1", 2, 1, 1, 77, 0.0, 0.0)),
        ("station", Start("c2", 3, 2, 1, 77, 0.0, 0.0)),
    ]
    assert (active(node, "c1"), active(node, "c2"), active(node, "c3")) == (2, 1, 0)
    assert node.memory.in_use == 3


def test_a_position_that_was_freed_is_offered_again_in_a_session_of_another_number() -> None:
    node = Node()
    node.fill("c1", 1)
    session = node.port.ended(1, 50)
    assert session is not None
    node.memory.free(session.qubit)
    node.fill("c1")
    assert node.sent[-1] == ("station", Start("c1", 2, 0, 2, 0, 0.0, 0.0))


def test_reserved_positions_that_somebody_has_borrowed_are_offered_when_they_come_back() -> None:
    node = Node(3)
    borrowed = [node.memory.borrow("west", ("link", "bob")) for _ in range(3)]
    assert node.memory.borrow("west", ("link", "bob")) is None
    for qubit in borrowed[:2]:
        assert qubit is not None
        node.port.offer(qubit, node.send, min_fidelity=0.9)
    assert node.sent[-1] == ("station", Start("link", 2, 1, 1, 0, 0.9, 0.0))
    node.fill("c1", 2)
    assert active(node, "c1") == 0
    session = node.port.ended(1, 5)
    assert session is not None
    node.memory.free(session.qubit)
    node.fill("c1")
    assert active(node, "c1") == 1
    node.port.stop(2, node.send)
    node.port.stop(2, node.send)
    assert [message for _, message in node.sent].count(Stop(2)) == 1


def test_a_label_is_withdrawn_once_and_the_other_goes_on() -> None:
    node = Node()
    node.fill("c1", 2)
    node.fill("c2", 1)
    del node.sent[:]
    node.port.withdraw("c1", node.send)
    node.port.withdraw("c1", node.send)
    assert node.sent == [("station", Stop(1)), ("station", Stop(2))]
    assert active(node, "c1") == 2  # until the station has answered


def test_a_session_ends_once() -> None:
    node = Node()
    node.fill("c1", 1)
    session = node.port.ended(1, 5)
    assert session is not None
    assert session.label == "c1"
    assert node.port.ended(1, 5) is None
    assert node.port.ended(99, 5) is None
    node.begun(1, 10, 5)  # it crossed the end
    assert node.port.attempts(100) == 0


def test_numbers_go_on_after_a_crash() -> None:
    node = Node()
    node.fill("c1", 2)
    node.port.lose()
    node.memory.lose()
    assert node.port.sessions == {}
    node.fill("c1", 1)
    assert node.sent[-1] == ("station", Start("c1", 3, 1, 2, 0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("now_ns", "attempts"), [(0, 0), (99, 0), (100, 0), (101, 1), (110, 1), (111, 2), (120, 2), (1_101, 101)]
)
def test_an_attempt_counts_once_its_photon_has_left(now_ns: int, attempts: int) -> None:
    node = Node()
    node.fill("c1", 1)
    assert node.port.attempts(now_ns) == 0
    node.begun(1, 100, 10)
    assert node.port.attempts(now_ns) == attempts
    node.port.ended(1, now_ns)
    assert node.port.attempts(now_ns) == node.port.attempts(10**9) == attempts


def test_attempts_with_an_earlier_partner_go_on_until_those_with_the_next_begin() -> None:
    node = Node()
    node.fill("c1", 1)
    node.begun(1, 100, 10)  # at 100, 110, 120, 130
    node.begun(1, 135, 10)  # at 135, 145
    assert node.port.attempts(135) == 4
    assert node.port.attempts(136) == 5
    node.port.ended(1, 150)
    assert node.port.attempts(150) == 6


@settings(derandomize=True, deadline=None, database=None)
@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(1, 40), st.integers(0, 500)), min_size=1, max_size=4),
    st.lists(st.integers(0, 1_000), max_size=20).map(sorted),
)
def test_attempts_are_those_before_now_of_all_sessions(sessions: list[Any], looks: list[int]) -> None:
    node = Node(len(sessions))
    node.fill("c1", len(sessions))
    for k, (first_ns, period_ns, _) in enumerate(sessions, start=1):
        node.begun(k, first_ns, period_ns)
    for now_ns in looks:
        for k, (_, _, span_ns) in enumerate(sessions, start=1):
            if k in node.port.sessions and now_ns >= sessions[k - 1][0] + span_ns:
                node.port.ended(k, sessions[k - 1][0] + span_ns)
        expected = sum(
            len(range(first_ns, min(now_ns, first_ns + span_ns), period_ns))
            for first_ns, period_ns, span_ns in sessions
        )
        assert node.port.attempts(now_ns) == expected
