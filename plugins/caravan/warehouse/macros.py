"""What models write in short. It is put into the text before anything reads it: neither engine, nor sqlglot, nor the
lint sees the short form, and a model whose expansion changes is built anew.
"""

from __future__ import annotations

import re

_COLUMN = r"([a-z_][a-z0-9_.]*)"
_IN_BASE = re.compile(rf"\bIN_BASE\({_COLUMN}, {_COLUMN}, {_COLUMN}\)")


def expand(sql: str) -> str:
    """Replace every `IN_BASE(amount, base_rate, rate)`; lines stay where they are.

    Arguments are columns, so that an expression stands once. Anything else is left as it is, and the lint tells it as
    an unknown function.
    """
    return _IN_BASE.sub(lambda match: _in_base(*match.groups()), sql)


def _in_base(amount: str, base_rate: str, rate: str) -> str:
    """SQL of an amount in the base currency, DECIMAL(18,4); NULL where it or a rate is. Rates: units for one euro.

    Exact: amount * base_rate / rate in whole numbers of 1/10,000 and 1/100,000,000, rounded half away from zero once.
    Doubles would round ties one way on one engine and the other way on the other.
    """
    whole = f"CAST(CAST(ABS({amount}) AS DECIMAL(38, 4)) * 10000 AS HUGEINT)"
    whole_base_rate, whole_rate = (
        f"CAST(CAST({of} AS DECIMAL(38, 8)) * 100000000 AS HUGEINT)" for of in (base_rate, rate)
    )
    quotient = f"(2 * {whole} * {whole_base_rate} + {whole_rate}) // (2 * {whole_rate})"
    return f"CAST(SIGN({amount}) * ({quotient}) AS DECIMAL(18, 0)) * CAST('0.0001' AS DECIMAL(5, 4))"
