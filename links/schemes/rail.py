"""One rail of a pair-source link: two squeezed vacua, a click, and what it leaves in the memories.

Theory of operation. A source puts n pairs on a rail with probability (1 - x) x^n. Its idlers go to the
station, its signals into a memory. That a set of detectors stays silent acts on the idlers like a linear
loss K = 1 - D, so it leaves the signals in an unnormalised Gaussian state Gamma(T), T = sqrt(x) K^T sqrt(x):
one excitation is carried over by the 2x2 matrix T, several by its products, and the vacuum has weight 1.
Losing part of the excitations while writing them keeps this form. So every probability is a rational
function of T, exact in the number of photons.

"This detector clicks and that one does not" is the difference of two silences. Written like that it is two
numbers close to 1 whose difference may be 1e-12. Here each quantity carries its value with both detectors
silent, and what photons in the clicking detector add to it; sums, products and geometric series of such
`Click` quantities need no subtraction, so the result keeps its relative accuracy however rare the click.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Click:
    """A non-negative quantity in two parts.

    `silent`: its value if both detectors of the rail receive no photon; `photons`: how much larger it is
    if one of the two may receive photons.
    """

    silent: float
    photons: float = 0.0

    def __add__(self, other: Click) -> Click:
        return Click(self.silent + other.silent, self.photons + other.photons)

    def __mul__(self, other: Click) -> Click:
        gained = self.photons * (other.silent + other.photons) + self.silent * other.photons
        return Click(self.silent * other.silent, gained)

    def times(self, factor: float) -> Click:
        """Scale by a number."""
        return Click(factor * self.silent, factor * self.photons)

    def series(self) -> Click:
        """Sum up 1 + t + t^2 + ... = 1 / (1 - t), for a quantity below 1."""
        silent = 1 / (1 - self.silent)
        return Click(silent, self.photons * silent / (1 - self.silent - self.photons))

    def probability(self, dark: float) -> float:
        """Let the detector click from photons, or with probability `dark` without; the other stays silent."""
        return (1 - dark) * (self.photons + dark * self.silent)


@dataclass(frozen=True, slots=True)
class Source:
    """One rail of one source: `x`, the ratio of n + 1 pairs to n; efficiencies of the idler and of writing."""

    x: float
    efficiency: float
    write_efficiency: float


@dataclass(frozen=True, slots=True)
class Rail:
    """What a click in one given detector leaves in the two memories, on this rail; no entry is normalised.

    Exactly so many excitations: `empty` none, `one_a` and `one_b` one in that memory and none in the other,
    `one_each` one in each. At least so many: `some_a` and `some_b` in that memory, none in the other,
    `some_each` in each. `coherence`: magnitude of the element between `one_a` and `one_b`; it has the sign
    of the detector.
    """

    empty: float
    one_a: float
    one_b: float
    one_each: float
    some_a: float
    some_b: float
    some_each: float
    coherence: float

    @property
    def total(self) -> float:
        """Probability of the click."""
        return self.empty + self.some_a + self.some_b + self.some_each


def after_click(a: Source, b: Source, visibility: float, dark: float) -> Rail:
    """Condition one rail of two pair sources on a click in one detector of a station half way."""
    lost_a, lost_b = 1 - a.write_efficiency, 1 - b.write_efficiency
    # The matrix T before writing: its diagonal, and the squared magnitude of its off-diagonal element.
    t_a, t_b = _idler(a), _idler(b)
    mixed = a.x * b.x * a.efficiency * b.efficiency * visibility / 4
    # Writing lets 0, 1, 2, ... excitations disappear: geometric series, joined where the sources interfere.
    series_a, series_b = t_a.times(lost_a).series(), t_b.times(lost_b).series()
    joined = (Click(0.0, lost_a * lost_b * mixed) * series_a * series_b).series()
    vacuum = series_a * series_b * joined
    # The matrix T after writing.
    m_a = (t_a * series_a * joined + vacuum * Click(0.0, lost_b * mixed)).times(a.write_efficiency)
    m_b = (t_b * series_b * joined + vacuum * Click(0.0, lost_a * mixed)).times(b.write_efficiency)
    written = a.write_efficiency * b.write_efficiency
    m_mixed = (vacuum * vacuum * Click(0.0, mixed)).times(written)
    many = m_a.series() * m_b.series()
    spread = many * (m_mixed * many).series()
    sources_empty = (1 - a.x) * (1 - b.x)

    def probability(quantity: Click) -> float:
        return sources_empty * (vacuum * quantity).probability(dark)

    return Rail(
        empty=probability(Click(1.0)),
        one_a=probability(m_a),
        one_b=probability(m_b),
        one_each=probability(m_a * m_b + m_mixed),
        some_a=probability(m_a * m_a.series()),
        some_b=probability(m_b * m_b.series()),
        some_each=probability(many * (m_a * m_b + m_mixed * spread)),
        coherence=probability(vacuum * Click(0.0, math.sqrt(mixed * written))),
    )


def _idler(source: Source) -> Click:
    """Return the diagonal element of T: photons reach one detector with half of the efficiency."""
    return Click(source.x * (1 - source.efficiency), source.x * source.efficiency / 2)
