"""PageRank against values that are known, and against its own definition."""

from __future__ import annotations

import numpy as np
import pytest

from caravan.functions.site.link_score import DAMPING, ranks, scores


def arrays(links: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    pairs = np.array(links, dtype=np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


@pytest.mark.parametrize(
    ("pages", "links", "expected"),
    [
        (1, [], [1.0]),
        (2, [], [0.5, 0.5]),
        (2, [(0, 1), (1, 0)], [0.5, 0.5]),
        # 0 and 1 link to 2, which links to nobody and so gives to all: r0 = r1 = (0.15 + 0.85 r2) / 3.
        (3, [(0, 2), (1, 2)], [1 / (3 + 2 * DAMPING), 1 / (3 + 2 * DAMPING), (1 + 2 * DAMPING) / (3 + 2 * DAMPING)]),
        # Wikipedia's figure of eleven pages, where E has 8.1 of 100, B 38.4 and C 34.3.
        (
            11,
            [(1, 2), (2, 1), (3, 0), (3, 1), (4, 1), (4, 3), (4, 5), (5, 1), (5, 4)]
            + [pair for page in (6, 7, 8) for pair in ((page, 1), (page, 4))]
            + [(9, 4), (10, 4)],
            [0.0328, 0.3844, 0.3429, 0.0391, 0.0809, 0.0391, *[0.0162] * 5],
        ),
    ],
)
def test_known_ranks(pages, links, expected):
    found = ranks(pages, *arrays(links))
    assert found == pytest.approx(expected, abs=1e-4)
    assert found.sum() == pytest.approx(1)


def test_a_link_counts_once_and_one_to_itself_not_at_all():
    plain = ranks(3, *arrays([(0, 1), (0, 2), (2, 0)]))
    noisy = ranks(3, *arrays([(0, 1), (0, 1), (0, 2), (2, 0), (1, 1)]))
    assert noisy == pytest.approx(plain)


def test_it_is_what_its_formula_says_of_any_graph():
    random = np.random.default_rng(3)
    links = arrays([(int(a), int(b)) for a, b in random.integers(0, 60, (300, 2)) if a != b])
    found = ranks(60, *links)
    pairs = {(int(a), int(b)) for a, b in zip(*links, strict=True)}
    out = {page: sum(a == page for a, _ in pairs) for page in range(60)}
    ends = sum(found[page] for page in range(60) if not out[page])
    for page in range(60):
        given = sum(found[a] / out[a] for a, b in pairs if b == page)
        assert found[page] == pytest.approx((1 - DAMPING) / 60 + DAMPING * (given + ends / 60), abs=1e-8)


def test_scores_go_to_100():
    found = scores(3, *arrays([(0, 2), (1, 2)]))
    assert found.max() == 100
    assert found[0] == pytest.approx(100 / (1 + 2 * DAMPING), abs=1e-6)
    assert len(scores(0, *arrays([]))) == 0


@pytest.mark.parametrize("links", [[(0, 3)], [(-1, 0)]])
def test_a_link_to_nowhere_is_refused(links):
    with pytest.raises(ValueError, match="not among the 3"):
        ranks(3, *arrays(links))
