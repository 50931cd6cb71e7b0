-- Rates are units of a currency for one euro. The newest one holds that is not of a later day than the money and is
-- carried that far; an older one would be a guess.
WITH pairs AS (
    SELECT DISTINCT
        order_local_date AS local_date,
        currency_code
    FROM stg.file_drop__order_line
    WHERE order_local_date >= $slice_start AND order_local_date < $slice_end
    UNION DISTINCT
    SELECT DISTINCT
        order_local_date AS local_date,
        currency_code
    FROM stg.file_drop__order
    WHERE order_local_date >= $slice_start AND order_local_date < $slice_end
    UNION DISTINCT
    SELECT DISTINCT
        refund_local_date AS local_date,
        currency_code
    FROM stg.file_drop__refund
    WHERE refund_local_date >= $slice_start AND refund_local_date < $slice_end
    UNION DISTINCT
    SELECT DISTINCT
        payment_local_date AS local_date,
        currency_code
    FROM stg.file_drop__payment
    WHERE payment_local_date >= $slice_start AND payment_local_date < $slice_end
    UNION DISTINCT
    SELECT DISTINCT
        shipment_local_date AS local_date,
        currency_code
    FROM stg.file_drop__shipment
    WHERE
        shipment_local_date >= $slice_start AND shipment_local_date < $slice_end
        AND currency_code IS NOT NULL
    UNION DISTINCT
    SELECT DISTINCT
        offer_local_date AS local_date,
        currency_code
    FROM stg.file_drop__offer
    WHERE offer_local_date >= $slice_start AND offer_local_date < $slice_end
),

-- The euro itself has no row: it is 1 on every day that has any rate.
rates AS (
    SELECT rate_date, currency_code, rate, rate_id, source_code, carried_until_date
    FROM stg.fx__rate
    WHERE rate_date >= $slice_start - INTERVAL '14' DAY AND rate_date < $slice_end
    UNION ALL
    SELECT
        rate_date,
        'EUR' AS currency_code,
        CAST(1 AS DECIMAL(18, 8)) AS rate,
        CAST(NULL AS VARCHAR) AS rate_id,
        CAST(NULL AS VARCHAR) AS source_code,
        MAX(carried_until_date) AS carried_until_date
    FROM stg.fx__rate
    WHERE rate_date >= $slice_start - INTERVAL '14' DAY AND rate_date < $slice_end
    GROUP BY rate_date
),

-- Both rates of one conversion are of one day.
candidates AS (
    SELECT
        p.local_date,
        p.currency_code,
        r.rate,
        b.rate AS base_rate,
        r.rate_date,
        COALESCE(r.rate_id || '/' || b.rate_id, r.rate_id, b.rate_id) AS rate_id,
        CASE
            WHEN r.source_code = 'user' OR b.source_code = 'user' THEN 'user'
            WHEN r.source_code = 'fetched' OR b.source_code = 'fetched' THEN 'fetched'
            ELSE 'bundled'
        END AS source_code,
        ROW_NUMBER() OVER (
            PARTITION BY p.local_date, p.currency_code ORDER BY r.rate_date DESC
        ) AS recency
    FROM pairs AS p
    INNER JOIN rates AS r
        ON
            p.currency_code = r.currency_code
            AND r.rate_date <= p.local_date
            AND r.carried_until_date >= p.local_date
    INNER JOIN rates AS b
        ON
            r.rate_date = b.rate_date
            AND b.currency_code = $base_currency
            AND b.carried_until_date >= p.local_date
    WHERE p.currency_code <> $base_currency
)

SELECT
    p.local_date,
    p.currency_code,
    $base_currency AS base_currency_code,
    CASE WHEN p.currency_code = $base_currency THEN CAST(1 AS DECIMAL(18, 8)) ELSE c.rate END AS rate,
    CASE WHEN p.currency_code = $base_currency THEN CAST(1 AS DECIMAL(18, 8)) ELSE c.base_rate END AS base_rate,
    CASE WHEN p.currency_code = $base_currency THEN p.local_date ELSE c.rate_date END AS rate_date,
    c.rate_id,
    c.source_code,
    CASE
        WHEN p.currency_code = $base_currency THEN 'same'
        WHEN c.rate_date IS NULL THEN 'missing'
        WHEN c.rate_date < p.local_date THEN 'carried'
        WHEN c.source_code = 'user' THEN 'user_supplied'
        ELSE 'exact'
    END AS fx_status
FROM pairs AS p
LEFT JOIN candidates AS c
    ON p.local_date = c.local_date AND p.currency_code = c.currency_code AND c.recency = 1
