"""What the lines of orders have in common, whatever service they come from."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

_NUMBER = re.compile(r"-?[0-9]{1,14}(\.[0-9]{1,10})?")


def priced(quantity: object, subtotal: object, total: object) -> dict[str, Any]:
    """quantity * unit_price - discount_amount = total, exactly. A value that is no number becomes the price, where it
    is refused: without it no amount is right."""
    count, before, after = number(quantity), number(subtotal), number(total)
    if before is None or after is None:
        return {"quantity": quantity, "unit_price": subtotal if before is None else total}
    if count is None:
        return {"quantity": quantity, "unit_price": subtotal}
    # As many decimals as leave the product with four, which is what amounts have.
    places = Decimal(1).scaleb(max(0, -_exponent(count)) - 4) if count else Decimal(1)
    price = (before / count).quantize(places) if count else Decimal(0)
    return {"quantity": quantity, "unit_price": f"{price:f}", "discount_amount": f"{count * price - after:f}"}


def _exponent(number: Decimal) -> int:
    return int(number.normalize().as_tuple().exponent)


def number(value: object) -> Decimal | None:
    return Decimal(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None
