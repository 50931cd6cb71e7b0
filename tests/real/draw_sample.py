"""Draw issues of documentation sites to be judged one by one, as evenly over checks and sites as there are any.

    PYTHONPATH=plugins:tests .venv/bin/python tests/real/draw_sample.py --seed 6 --count 100 >sample.yml

Prints what `precision.yml` holds, without labels, with the evidence to judge by. Issues that are labelled already are
not drawn again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
from pathlib import Path

import yaml

LABELS = Path(__file__).with_name("precision.yml")


def draw(found: list[tuple[str, str, str, str]], seed: int, count: int) -> list[tuple[str, str, str, str]]:
    """`found`: check, site, path, evidence. Round after round one of each check, of another site each time."""
    chance = random.Random(seed)
    by_check: dict[str, dict[str, list[tuple[str, str, str, str]]]] = {}
    for row in sorted(found):
        by_check.setdefault(row[0], {}).setdefault(row[1], []).append(row)
    queues = []
    for check in sorted(by_check):
        sites = list(by_check[check].values())
        chance.shuffle(sites)
        for rows in sites:
            chance.shuffle(rows)
        queues.append([rows[turn] for turn in range(max(map(len, sites))) for rows in sites if turn < len(rows)])
    rounds = [queue[turn] for turn in range(max(map(len, queues))) for queue in queues if turn < len(queue)]
    return sorted(rounds[:count])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, default=100)
    given = parser.parse_args()
    known = yaml.safe_load(LABELS.read_text(encoding="utf-8"))["issues"] if LABELS.exists() else []
    labelled = {(each["check"], each["site"], each["path"]) for each in known}
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["CARAVAN_HOME"] = f"{scratch}/home"
        from crawled_docs import CrawledDocs
        from doc_sites import SITES

        found = []
        with CrawledDocs.served(Path(scratch)) as docs:
            for site in [each for each in SITES if each.version]:
                crawled = docs.of(site)
                for check, url, evidence in crawled.ask("SELECT check_id, url, evidence FROM issue"):
                    path = url.removeprefix(crawled.origin)
                    if (check, site.code, path) not in labelled:
                        found.append((check, site.code, path, evidence))
    for check, code, path, evidence in draw(found, given.seed, given.count):
        print(f"- {{check: {check}, site: {code}, path: {json.dumps(path)}}}")
        print(f"  # {evidence}")


if __name__ == "__main__":
    main()
