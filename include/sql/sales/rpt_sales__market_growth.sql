-- Constant currency: this month's amount at the rate of the same month a year before, which is what its sales came to
-- in the base currency for one of their own. In whole numbers, rounded half away from zero: the same on every engine.
WITH months AS (
    SELECT
        month_start_date,
        market_code,
        currency_code,
        base_currency_code,
        net_amount,
        net_amount_base,
        fx_missing_order_count
    FROM mart.rpt_sales__market_month
    WHERE month_start_date >= $slice_start - INTERVAL '366' DAY AND month_start_date < $slice_end
)

SELECT
    m.month_start_date,
    m.market_code,
    m.currency_code,
    m.base_currency_code,
    m.net_amount,
    m.net_amount_base,
    p.net_amount AS year_ago_net_amount,
    p.net_amount_base AS year_ago_net_amount_base,
    CASE
        WHEN p.net_amount > 0 AND p.net_amount_base > 0 AND p.fx_missing_order_count = 0
            THEN
                CAST(
                    SIGN(m.net_amount) * (
                        (
                            2 * CAST(CAST(ABS(m.net_amount) AS DECIMAL(38, 4)) * 10000 AS HUGEINT)
                            * CAST(CAST(p.net_amount_base AS DECIMAL(38, 4)) * 10000 AS HUGEINT)
                            + CAST(CAST(p.net_amount AS DECIMAL(38, 4)) * 10000 AS HUGEINT)
                        )
                        // (2 * CAST(CAST(p.net_amount AS DECIMAL(38, 4)) * 10000 AS HUGEINT))
                    ) AS DECIMAL(18, 0)
                ) * CAST('0.0001' AS DECIMAL(5, 4))
    END AS net_amount_constant_base
FROM months AS m
LEFT JOIN months AS p
    ON
        p.month_start_date = CAST(m.month_start_date - INTERVAL '1' YEAR AS DATE)
        AND m.market_code = p.market_code
        AND m.currency_code = p.currency_code
        AND m.base_currency_code = p.base_currency_code
WHERE m.month_start_date >= $slice_start
