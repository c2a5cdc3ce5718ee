"""What a target means: actors, the channels between them, and links.

| target | means |
| --- | --- |
| `a>b` | the channel from `a` to `b` |
| `a-b`, `a|b` | both directions between them; as a link, the fibre between two nodes |
| `a,b>c,*` | the channels from any of the one set to any of the other; `*` is everybody else |
| `a` | the actor |

Names may have dashes in them, so `a-b` is cut where both parts are names; where that is not clear, write `a|b`.
"""

from __future__ import annotations

from collections.abc import Iterable

from .fault import FaultError, Scene, nearest

ALL = "*"


def actor(scene: Scene, target: str, *roles: str) -> str:
    """Return an actor by its name, which must have one of the roles if any are given. Raises FaultError."""
    if target not in scene.names:
        raise FaultError("target", f"there is nobody named {target!r}{nearest(target, scene.names)}")
    role = scene.cell(target).actor.role
    if roles and role not in roles:
        fit = [name for name in scene.names if scene.cell(name).actor.role in roles]
        some = f", such as {fit[0]!r}" if fit else ", and there is none"
        raise FaultError("target", f"{target!r} is a {role}; this fault is for a {' or '.join(roles)}{some}")
    return target


def two_ends(scene: Scene, target: str) -> tuple[str, str]:
    """Return the two names of a target `a-b` or `a|b`. Raises FaultError."""
    if "|" in target:
        first, _, second = target.partition("|")
        return actor(scene, first), actor(scene, second)
    cuts = [(target[:k], target[k + 1 :]) for k, letter in enumerate(target) if letter == "-"]
    whole = [cut for cut in cuts if cut[0] in scene.names and cut[1] in scene.names]
    if len(whole) > 1:
        ways = " or ".join(f"{a}|{b}" for a, b in whole)
        raise FaultError("target", f"{target!r} can be read in several ways; write {ways}")
    if not whole:
        half = next((cut for cut in cuts if cut[0] in scene.names or cut[1] in scene.names), None)
        if half is None:
            raise FaultError("target", f"{target!r} is no pair of names; write it like {_example(scene)!r}")
        wrong = half[0] if half[1] in scene.names else half[1]
        raise FaultError("target", f"there is nobody named {wrong!r}{nearest(wrong, scene.names)}")
    return whole[0]


def channels(scene: Scene, target: str) -> list[tuple[str, str]]:
    """Return the channels that a target means, each (from, to), in a fixed order. Raises FaultError."""
    one_way = ">" in target
    if one_way or "|" in target:
        first, _, second = target.partition(">" if one_way else "|")
        left, right = _set(scene, first), _set(scene, second)
        left = left or [name for name in scene.names if name not in right]
        right = right or [name for name in scene.names if name not in left]
    else:
        a, b = two_ends(scene, target)
        left, right = [a], [b]
    found = [pair for a in left for b in right for pair in ([(a, b)] if one_way else [(a, b), (b, a)])]
    joined = [(a, b) for a, b in found if b in scene.cell(a).channels]
    if not joined:
        reach = sorted(scene.cell(left[0]).channels)
        raise FaultError("target", f"no channel joins {left[0]!r} and {right[0]!r}{nearest(right[0], reach)}")
    return joined


def _set(scene: Scene, text: str) -> list[str]:
    """Return the names of a set; none for everybody else."""
    if text == ALL:
        return []
    return sorted({actor(scene, name) for name in text.split(",")})


def _example(scene: Scene) -> str:
    pairs: Iterable[str] = (f"{a}|{b}" for a in scene.names for b in sorted(scene.cell(a).channels))
    return next(iter(pairs), "a|b")
