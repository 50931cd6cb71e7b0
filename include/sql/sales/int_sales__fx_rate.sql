-- ECB publishes units of a currency for one euro, on working days. The last rate of at most 7 days
-- before the order's local day holds; an older one would be a guess.
WITH pairs AS (
    SELECT DISTINCT order_local_date, currency_code
    FROM stg.file_drop__order_line
    WHERE order_local_date >= $slice_start AND order_local_date < $slice_end
    UNION DISTINCT
    SELECT DISTINCT order_local_date, currency_code
    FROM stg.file_drop__order
    WHERE order_local_date >= $slice_start AND order_local_date < $slice_end
),

-- The euro itself has no row at ECB: it is 1 on every day that has any rate.
rates AS (
    SELECT rate_date, currency_code, rate
    FROM stg.ecb__fx_rate
    WHERE rate_date >= $slice_start - INTERVAL '7' DAY AND rate_date < $slice_end
    UNION ALL
    SELECT DISTINCT rate_date, 'EUR' AS currency_code, CAST(1 AS DECIMAL(18, 6)) AS rate
    FROM stg.ecb__fx_rate
    WHERE rate_date >= $slice_start - INTERVAL '7' DAY AND rate_date < $slice_end
),

-- Both rates of one conversion are of one day.
candidates AS (
    SELECT
        p.order_local_date,
        p.currency_code,
        r.rate,
        b.rate AS base_rate,
        r.rate_date,
        ROW_NUMBER() OVER (
            PARTITION BY p.order_local_date, p.currency_code ORDER BY r.rate_date DESC
        ) AS recency
    FROM pairs AS p
    INNER JOIN rates AS r
        ON
            p.currency_code = r.currency_code
            AND r.rate_date <= p.order_local_date
            AND r.rate_date >= p.order_local_date - INTERVAL '7' DAY
    INNER JOIN rates AS b ON r.rate_date = b.rate_date AND b.currency_code = $base_currency
    WHERE p.currency_code <> $base_currency
)

SELECT
    p.order_local_date,
    p.currency_code,
    $base_currency AS base_currency_code,
    CASE WHEN p.currency_code = $base_currency THEN CAST(1 AS DECIMAL(18, 6)) ELSE c.rate END AS rate,
    CASE WHEN p.currency_code = $base_currency THEN CAST(1 AS DECIMAL(18, 6)) ELSE c.base_rate END AS base_rate,
    CASE WHEN p.currency_code = $base_currency THEN p.order_local_date ELSE c.rate_date END AS rate_date,
    CASE
        WHEN p.currency_code = $base_currency THEN 'same'
        WHEN c.rate_date IS NULL THEN 'missing'
        WHEN c.rate_date = p.order_local_date THEN 'exact'
        ELSE 'carried'
    END AS fx_status
FROM pairs AS p
LEFT JOIN candidates AS c
    ON p.order_local_date = c.order_local_date AND p.currency_code = c.currency_code AND c.recency = 1
