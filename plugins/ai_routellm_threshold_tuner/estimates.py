"""What routing saves, and what quality it keeps."""

from bisect import bisect_left
from collections.abc import Sequence

__all__ = ["interpolated", "saving"]


def saving(strong_requests: int, weak_requests: int, strong_cost: float, weak_cost: float) -> float:
    """Give the part saved of what sending every request to the strong model would have cost.

    This is 1 - (s Cs + w Cw) / (n Cs) for s and w requests, n together, that cost Cs and Cw each.
    """
    all_strong = (strong_requests + weak_requests) * strong_cost
    if not all_strong:
        return 0.0
    return 1 - (strong_requests * strong_cost + weak_requests * weak_cost) / all_strong


def interpolated(points: Sequence[tuple[float, float]], x: float) -> float:
    """Give the value at *x* on straight lines through *points*, which rise in x; constant beyond the ends."""
    after = bisect_left(points, (x,))
    if after == 0:
        return points[0][1]
    if after == len(points):
        return points[-1][1]
    (left, low), (right, high) = points[after - 1], points[after]
    return low + (high - low) * (x - left) / (right - left)
