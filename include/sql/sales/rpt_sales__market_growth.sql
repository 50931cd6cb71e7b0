-- Constant currency: this month's amount at the rate of the same month a year before, which is what its gross sales
-- came to in the base currency for one of their own; net ones say nothing where returns nearly cancel them.
-- In whole numbers, rounded half away from zero: the same on every engine.
WITH months AS (
    SELECT
        month_start_date,
        market_code,
        currency_code,
        base_currency_code,
        gross_amount,
        gross_amount_base,
        net_amount,
        net_amount_base,
        fx_missing_order_count
    FROM mart.rpt_sales__market_month
    WHERE month_start_date >= $slice_start - INTERVAL '366' DAY AND month_start_date < $slice_end
),

this_year AS (
    SELECT *
    FROM months
    WHERE month_start_date >= $slice_start
),

-- Beside months in which anything was sold: those to come are no lost sales.
year_ago AS (
    SELECT
        p.*,
        t.month_start_date AS compared_month_start_date
    FROM months AS p
    INNER JOIN (SELECT DISTINCT month_start_date FROM this_year) AS t
        ON p.month_start_date = CAST(t.month_start_date - INTERVAL '1' YEAR AS DATE)
),

pairs AS (
    SELECT
        COALESCE(m.month_start_date, p.compared_month_start_date) AS month_start_date,
        COALESCE(m.market_code, p.market_code) AS market_code,
        COALESCE(m.currency_code, p.currency_code) AS currency_code,
        COALESCE(m.base_currency_code, p.base_currency_code) AS base_currency_code,
        CASE WHEN m.month_start_date IS NULL THEN 0 ELSE m.net_amount END AS net_amount,
        CASE WHEN m.month_start_date IS NULL THEN 0 ELSE m.net_amount_base END AS net_amount_base,
        p.gross_amount,
        p.gross_amount_base,
        p.net_amount AS year_ago_net_amount,
        p.net_amount_base AS year_ago_net_amount_base,
        p.fx_missing_order_count,
        COALESCE(m.base_currency_code = p.base_currency_code, m.month_start_date IS NULL) AS is_comparable
    FROM this_year AS m
    FULL OUTER JOIN year_ago AS p
        ON
            m.month_start_date = p.compared_month_start_date
            AND m.market_code = p.market_code
            AND m.currency_code = p.currency_code
)

SELECT
    month_start_date,
    market_code,
    currency_code,
    base_currency_code,
    net_amount,
    net_amount_base,
    CASE WHEN is_comparable THEN year_ago_net_amount END AS year_ago_net_amount,
    CASE WHEN is_comparable THEN year_ago_net_amount_base END AS year_ago_net_amount_base,
    CASE
        WHEN is_comparable AND gross_amount > 0 AND gross_amount_base > 0 AND fx_missing_order_count = 0
            THEN
                CAST(
                    SIGN(net_amount) * (
                        (
                            2 * CAST(CAST(ABS(net_amount) AS DECIMAL(38, 4)) * 10000 AS HUGEINT)
                            * CAST(CAST(gross_amount_base AS DECIMAL(38, 4)) * 10000 AS HUGEINT)
                            + CAST(CAST(gross_amount AS DECIMAL(38, 4)) * 10000 AS HUGEINT)
                        )
                        // (2 * CAST(CAST(gross_amount AS DECIMAL(38, 4)) * 10000 AS HUGEINT))
                    ) AS DECIMAL(18, 0)
                ) * CAST('0.0001' AS DECIMAL(5, 4))
    END AS net_amount_constant_base
FROM pairs
