"""A day's rows on their way into raw.search_console__row: one Parquet file, written as the pages come."""

from __future__ import annotations

import errno
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from babel.core import get_global

from caravan.core.codes import country_codes
from caravan.core.errors import Retryable
from caravan.core.search import Breakdown, Measures, covered

NOWHERE = "ZZ"
"""The country of a search that Google places nowhere (`zzz`), and the market of a country that has none."""
SEARCH_TYPE = "web"

_TEXTS = ("row_key", "payload_hash", "day_key", "site_code", "property_url")
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in _TEXTS),
        ("search_local_date", pa.date32()),
        *((name, pa.string()) for name in ("search_type", "breakdown", "market_code", "country_code", "country")),
        *((name, pa.string()) for name in ("device", "page_url", "query_text")),
        *((name, pa.int64()) for name in ("click_count", "impression_count", "position_sum")),
        ("is_final", pa.bool_()),
    ]
)


@cache
def _countries() -> Mapping[str, str]:
    """ISO 3166-1 alpha-3, lower case as Google writes it, to alpha-2 (CLDR)."""
    known = country_codes()
    aliases = {name: codes for name, codes in get_global("territory_aliases").items() if len(name) == 3}
    return {name.lower(): codes[0] for name, codes in aliases.items() if len(codes) == 1 and codes[0] in known}


def country_code(given: str) -> str:
    """ISO 3166-1 alpha-2; ZZ for what is no country."""
    return _countries().get(given.lower(), NOWHERE)


def digest(*parts: object) -> str:
    """A UUID of the parts; no text of one can be taken for two."""
    text = "".join(f"{len(str(part))}:{part}" for part in parts)
    return str(uuid.UUID(hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()))


@dataclass
class RowFile:
    """`markets`: by country, the code of its market. Its hash is that of a set: in whatever order the rows come."""

    path: Path
    site: str
    property_url: str
    day: date
    markets: Mapping[str, str]
    row_count: int = field(default=0, init=False)
    _sum: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._writer = pq.ParquetWriter(self.path, _SCHEMA)

    def write(
        self,
        breakdown: Breakdown,
        rows: Sequence[tuple[Mapping[str, str], Measures]],
        is_final: bool | None = None,
    ) -> None:
        """Rows with their dimensions by name: country, device, page, query, as delivered. Raises Retryable on a full
        disk."""
        made = [self._row(breakdown, dimensions, measures, is_final) for dimensions, measures in rows]
        try:
            self._writer.write_table(pa.Table.from_pylist(made, schema=_SCHEMA))
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise Retryable(f"no room left below {self.path.parent}: free some disk, then run again") from error
            raise
        self.row_count += len(made)

    def _row(
        self, breakdown: Breakdown, dimensions: Mapping[str, str], measures: Measures, is_final: bool | None
    ) -> dict[str, object]:
        country, device = dimensions.get("country"), dimensions.get("device")
        code = country_code(country) if country is not None else None
        market = self.markets.get(code, NOWHERE) if code is not None else None
        day_key = covered(self.site, SEARCH_TYPE, self.day)
        of_row = (breakdown, country or "", device or "", dimensions.get("page", ""), dimensions.get("query", ""))
        row: dict[str, object] = {
            "row_key": digest(day_key, *of_row),
            "payload_hash": digest(
                self.property_url, market, measures.clicks, measures.impressions, measures.position_sum, is_final
            ),
            "day_key": day_key,
            "site_code": self.site,
            "property_url": self.property_url,
            "search_local_date": self.day,
            "search_type": SEARCH_TYPE,
            "breakdown": breakdown,
            "market_code": market,
            "country_code": code,
            "country": country,
            "device": device.lower() if device is not None else None,
            "page_url": dimensions.get("page"),
            "query_text": dimensions.get("query"),
            "click_count": measures.clicks,
            "impression_count": measures.impressions,
            "position_sum": measures.position_sum,
            "is_final": is_final,
        }
        content = hashlib.sha256(f"{row['row_key']} {row['payload_hash']}".encode()).digest()
        self._sum = (self._sum + int.from_bytes(content, "big")) % (1 << 256)
        return row

    def finish(self) -> str:
        """The hash of all rows, hex."""
        self._writer.close()
        return hashlib.sha256(f"{self.row_count} {self._sum:064x}".encode()).hexdigest()

    def close(self) -> None:
        self._writer.close()
