"""include/config/kpis: what each figure of the report means, in words, as a formula and worked out by hand.

The formulas are the code's own, so the definitions come with the code and not from CARAVAN_CONFIG.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from caravan import INCLUDE_DIR
from caravan.config.document import read
from caravan.config.frozen import Day, Frozen
from caravan.config.validation import validate
from caravan.core.errors import Fault, Misconfigured

FOLDER = INCLUDE_DIR / "config" / "kpis"

_Text = Annotated[str, Field(min_length=1)]


class Worked(Frozen):
    """The figure from the example's orders, step by step and as a number."""

    working: _Text
    value: Decimal


class Kpi(Frozen):
    id: Annotated[str, Field(pattern=r"^[a-z]+\.[a-z][a-z0-9_]*$")]
    name: _Text
    words: _Text
    formula: _Text
    unit: Literal["count", "money", "ratio", "hours", "verdict"]
    day: _Text
    """Which day a figure belongs to."""
    additive: Literal["yes", "no"]
    """Whether figures of days and markets may be added up."""
    unknown_when: _Text
    sources: Annotated[tuple[_Text, ...], Field(min_length=1)]
    version: Annotated[int, Field(ge=1)]
    example: Worked


class ExampleOrder(Frozen):
    """Amounts in the order's currency; `rate`: units of it for one of the base currency, absent where none is known."""

    order: _Text
    day: Day
    market: _Text
    customer: str | None = None
    units: Decimal
    currency: _Text
    rate: Decimal | None = None
    gross: Decimal
    cancelled: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)

    @property
    def net(self) -> Decimal:
        return self.gross - self.cancelled - self.refunded

    @property
    def net_base(self) -> Decimal | None:
        return None if self.rate is None else self.net / self.rate


class Example(Frozen):
    words: _Text
    base_currency: _Text
    orders: Annotated[tuple[ExampleOrder, ...], Field(min_length=1)]


class Dictionary(Frozen):
    """All definitions file by file, those of quality last, and the orders that their examples are worked from."""

    kpis: tuple[Kpi, ...]
    example: Example | None = None


def load_kpis(folder: Path = FOLDER) -> Dictionary:
    """Raises Misconfigured with every fault of every file."""
    faults: list[Fault] = []
    kpis: list[Kpi] = []
    example: Example | None = None
    for path in sorted(folder.glob("*.yml"), key=lambda path: (path.stem == "quality", path.stem)):
        document, found = read(path, f"kpis/{path.name}")
        faults += found
        if document is None:
            continue
        file, found = validate(document, Dictionary)
        faults += found
        for index, kpi in enumerate(file.kpis if file else ()):
            if kpi.id in {other.id for other in kpis}:
                faults.append(document.fault(("kpis", index, "id"), f"another KPI is called '{kpi.id}' already"))
            kpis.append(kpi)
        if file and file.example:
            example = file.example
    if faults:
        raise Misconfigured(faults)
    return Dictionary(kpis=tuple(kpis), example=example)
