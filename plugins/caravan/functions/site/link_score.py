"""How much of a site's internal links leads to each page: PageRank (Brin and Page, 1998) over its followed links."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DAMPING = 0.85
TOLERANCE = 1e-9
"""Of the sum of all differences between two steps; the sum of all ranks is 1."""
STEPS = 200


def ranks(pages: int, sources: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each page's share of 1. `sources`, `targets`: the links, by the numbers of pages from 0; one that stands twice
    counts once, one to the page itself not at all. A page without links gives to all alike.

    Memory: about 40 bytes a link. Raises ValueError for a link from or to a page that is not there.
    """
    if pages == 0:
        return np.zeros(0)
    if len(sources) and (min(sources.min(), targets.min()) < 0 or max(sources.max(), targets.max()) >= pages):
        raise ValueError(f"a link from or to a page that is not among the {pages}")
    links = np.unique((sources * pages + targets)[sources != targets])
    sources, targets = links // pages, links % pages
    out = np.bincount(sources, minlength=pages).astype(np.float64)
    share = 1.0 / out[sources]
    is_end = out == 0
    rank: NDArray[np.float64] = np.full(pages, 1.0 / pages)
    for _ in range(STEPS):
        passed = np.bincount(targets, weights=rank[sources] * share, minlength=pages)
        new: NDArray[np.float64] = (1.0 - DAMPING + DAMPING * rank[is_end].sum()) / pages + DAMPING * passed
        if np.abs(new - rank).sum() < TOLERANCE:
            return new
        rank = new
    return rank


def scores(pages: int, sources: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """From 0 to 100, which is the site's page with the highest rank."""
    found = ranks(pages, sources, targets)
    return found * (100.0 / found.max()) if len(found) else found
