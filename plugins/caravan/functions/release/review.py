"""What somebody who is to approve a release is shown: every word of it, where it goes and when. Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from caravan.functions.release.content import Revision
from caravan.functions.release.hashes import content_hash
from caravan.functions.release.locales import editions, passed_over, untranslated_share

_MARKS = re.compile(r"([\\`*_{}\[\]<>()#+.!|~&-])")


def review(revision: Revision) -> str:
    release = revision.release
    facts = {
        "Revision": f"{release.revision}, by {release.owner}",
        "What": f"{release.kind} for {release.audience}{', a withdrawal' if release.action == 'withdraw' else ''}",
        "Markets": ", ".join(release.markets),
        "Outlets": ", ".join(release.outlets),
        "List": (release.list or "")
        + ", even if half of its people are gone" * release.audience_may_fall
        + ", only whom no earlier revision has reached" * release.only_missed,
        "When": "; ".join(_instants(revision)),
        "Not before": f"{release.embargo_until:%Y-%m-%d %H:%M} UTC" if release.embargo_until else "",
    }
    share = untranslated_share(editions(release, revision.known.markets))
    if share:
        facts["Languages"] = f"{share:.0%} of those of these markets have no text of their own"
    facts["Stale"] = "; ".join(each.message for each in passed_over(release, revision.known.markets))
    lines = [f"- **{name}**: {_plain(value)}" for name, value in facts.items() if value]
    lines.append(f"- **Content**: `{content_hash(release, revision.templates)}`")
    if revision.templates:  # two reviews side by side show which of them was changed
        shown = ", ".join(f"`{path}` {digest[:8]}" for path, digest in sorted(revision.templates.items()))
        lines.append(f"- **Templates**: {shown}")
    return "\n\n".join(["\n".join(lines), *_texts(revision)]) + "\n"


def _instants(revision: Revision) -> Iterator[str]:
    when, markets = revision.release.when, revision.known.markets
    if when.utc is not None:
        yield f"{when.utc:%Y-%m-%d %H:%M} UTC"
        return
    yield f"{when.local:%Y-%m-%d %H:%M} by the clock there"
    for code in revision.release.markets:
        yield f"{code} {when.instant(markets[code].zone):%Y-%m-%d %H:%M} UTC"


def _texts(revision: Revision) -> Iterator[str]:
    """The source first. As it is written: what a line says is not lost in how it looks."""
    release = revision.release
    readers: dict[str, list[str]] = {}
    for each in editions(release, revision.known.markets):
        if each.locale and each.market_code not in readers.setdefault(each.locale, []):
            readers[each.locale].append(each.market_code)
    for body in sorted(release.bodies.values(), key=lambda body: (body is not release.source, body.locale)):
        read = ", ".join(readers.get(body.locale, [])) or "no market"
        yield f"**{_plain(body.front.title)}** ({body.locale}, read in {read})"
        yield _plain(body.front.summary)
        # A fence longer than any in the text, or the text could end it.
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", body.text)), default=0))
        yield f"{fence}markdown\n{body.text}\n{fence}"


def _plain(text: str) -> str:
    return _MARKS.sub(r"\\\1", text)
