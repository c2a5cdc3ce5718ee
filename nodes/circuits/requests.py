"""What a circuit is asked for: which pairs, how many, and how they are to be delivered. Sans-io.

Requests follow the quantum network protocol: `Forward` begins one at each node of the circuit, `Complete` ends it.
Links make pairs while any request is active. The head-end says in its Track for which request a pair is, so both ends
agree; but the tail-end may have measured its half before it hears that. It says so in its own Track. If what it did
does not serve the request, both ends come to know that and give the pair up.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal, TypeAlias

import msgspec

# Keep the qubit until the pair is confirmed; measure it as soon as it is there; hand it over before it is confirmed.
Delivery: TypeAlias = Literal["keep", "measure", "early"]

RANDOM_BASIS: Final = 0


class Request(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A request of a circuit's head-end.

    number: its name within the circuit; pairs: how many (0: until it is completed); basis: of measured pairs, 1 X, 2 Y,
    3 Z (0: each end draws one for each pair); state: the Bell state into which the head-end turns the pairs (-1: they
    stay as they come).
    """

    number: int = 1
    pairs: int = 0
    delivery: Delivery = "keep"
    basis: int = RANDOM_BASIS
    state: int = -1

    def accepts(self, measured: int) -> bool:
        """Return whether a half serves this that the tail-end has measured in a basis already (0: it has not)."""
        if self.delivery == "measure":
            return measured == 0 or self.basis in (RANDOM_BASIS, measured)
        return measured == 0


class Requests:
    """The active requests of a circuit, as one of its nodes knows them.

    >>> requests = Requests((Request(1, pairs=1), Request(2)))
    >>> [requests.assign().number for _ in range(4)]
    [1, 2, 2, 2]
    >>> requests.expired(Request(1, pairs=1))  # the pair came to nothing: another is needed
    >>> [requests.assign().number for _ in range(3)]
    [1, 2, 2]
    """

    def __init__(self, requests: tuple[Request, ...] = ()) -> None:
        self._active: deque[Request] = deque(requests)
        self._open: dict[int, int] = {r.number: r.pairs for r in requests if r.pairs}  # pairs not assigned yet
        self._missing = dict(self._open)  # pairs not delivered yet

    def __len__(self) -> int:
        return len(self._active)

    def __contains__(self, number: int) -> bool:
        return any(request.number == number for request in self._active)

    @property
    def remaining(self) -> tuple[Request, ...]:
        """Return the active requests, for what they still lack."""
        return tuple(msgspec.structs.replace(r, pairs=self._missing.get(r.number, 0)) for r in self._active)

    @property
    def common(self) -> Request | None:
        """Return a request that stands for all that are active, if they want their pairs delivered alike."""
        kinds = {(request.delivery, request.basis) for request in self._active}
        return self._active[0] if len(kinds) == 1 else None

    def begin(self, request: Request) -> None:
        """Begin a request."""
        self._active.append(request)
        if request.pairs:
            self._open[request.number] = self._missing[request.number] = request.pairs

    def end(self, number: int) -> None:
        """End a request."""
        self._active = deque(request for request in self._active if request.number != number)
        self._open.pop(number, None)
        self._missing.pop(number, None)

    def assign(self) -> Request | None:
        """Return the request for which the next half is, in turn; None: all have as many as they want."""
        for _ in range(len(self._active)):
            request = self._active[0]
            self._active.rotate(-1)
            if not request.pairs:
                return request
            if self._open[request.number] > 0:
                self._open[request.number] -= 1
                return request
        return None

    def expired(self, request: Request) -> None:
        """Note that a half that was assigned came to nothing."""
        if request.number in self._open:
            self._open[request.number] += 1

    def delivered(self, request: Request) -> bool:
        """Note a delivered pair; return whether that was the last one."""
        if request.number not in self._missing:
            return False
        self._missing[request.number] -= 1
        return self._missing[request.number] == 0
