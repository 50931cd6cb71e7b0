"""Numbers, money and days as the report writes them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import pytest

from caravan.reporting import formats


@pytest.mark.parametrize(
    "function, arguments, expected",
    [
        (formats.money, (Decimal("1234.565"), "EUR"), "€1,234.56"),  # half to even
        (formats.money, (Decimal("-12.5"), "SEK"), "−SEK 12.50"),
        (formats.money, (Decimal("1234.5"), "JPY"), "¥1,234"),
        (formats.money, (Decimal(0), "EUR"), "€0.00"),
        (formats.money, (None, "EUR"), "unknown"),
        (formats.whole_money, (Decimal("51647.40"), "EUR"), "€51,647"),
        (formats.short_money, (Decimal(834), "EUR"), "€834"),
        (formats.short_money, (Decimal(3000), "EUR"), "€3.0K"),
        (formats.short_money, (Decimal(-1234567), "PLN"), "−PLN 1.2M"),
        (formats.short, (Decimal(834),), "834"),
        (formats.short, (Decimal("-12345.6"),), "−12.3K"),
        (formats.count, (1234567,), "1,234,567"),
        (formats.count, (Decimal("1.5000"),), "1.5"),
        (formats.count, (0,), "0"),
        (formats.count, (None,), "unknown"),
        (formats.share, (Decimal("0.0421"),), "4.2 %"),
        (formats.position, (Decimal("7.449"),), "7.4"),
        (formats.change, (Decimal("0.0421"),), "+4.2 %"),
        (formats.change, (Decimal("-0.5"),), "−50.0 %"),
        (formats.day, (None,), "unknown"),
        (formats.days, (date(2026, 11, 3), date(2026, 11, 3)), "3 Nov 2026"),
        (formats.days, (date(2026, 11, 3), date(2026, 11, 9)), "3 Nov to 9 Nov 2026"),
        (formats.days, (date(2025, 12, 31), date(2026, 1, 2)), "31 Dec 2025 to 2 Jan 2026"),
        (formats.moment, (datetime(2026, 11, 3, 6, 10),), "3 Nov 2026 06:10"),
        (formats.counted, (1, "delivery", "deliveries"), "1 delivery"),
        (formats.counted, (2000, "order"), "2,000 orders"),
    ],
)
def test_formats(function: object, arguments: tuple[object, ...], expected: str) -> None:
    assert callable(function)
    assert function(*arguments).replace(formats.SPACE, " ") == expected
