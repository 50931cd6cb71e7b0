"""The pages of the report by name, and how one points to another: relative, so that the folder works anywhere."""

from __future__ import annotations

import hashlib
import re

from caravan.reporting.sales import USUAL_DAYS

QUALITY = "quality.html"
QUARANTINE = "quarantine.html"
RELEASES = "releases.html"
CALENDAR = "calendar.html"
SITES = "site.html"
DEFINITIONS = "definitions.html"

_PLAIN = re.compile(r"[A-Za-z0-9_]{1,64}")


def overview(days: int = USUAL_DAYS) -> str:
    return f"index{_suffix(days)}.html"


def products(days: int = USUAL_DAYS) -> str:
    return f"products{_suffix(days)}.html"


def market(code: str, days: int = USUAL_DAYS) -> str:
    return f"market/{_file_name(code)}{_suffix(days)}.html"


def site(code: str) -> str:
    """A web site, as its last crawl found it."""
    return f"site_{_file_name(code)}.html"


def issues(code: str) -> str:
    """Its issues as rows."""
    return f"site_{_file_name(code)}.csv"


def run(dag_id: str, run_id: str) -> str:
    """A run's id has characters that a file's name must not have."""
    return f"run/{_file_name(dag_id)}-{_digest(run_id)}.html"


def section(page: str) -> str | None:
    """The page that a site's, or a run's, is below; None for others."""
    if page.startswith("run/"):
        return QUALITY
    return SITES if page.startswith("site_") else None


def relative(page: str, target: str) -> str:
    """From one page to another; a target within the page itself begins with '#'."""
    return target if target.startswith("#") else "../" * page.count("/") + target


def _suffix(days: int) -> str:
    return "" if days == USUAL_DAYS else f"-{days}"


def _file_name(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else _digest(name)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
