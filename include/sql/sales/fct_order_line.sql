-- gross: goods sold, also where the order was cancelled later by its status (a positive cancellation).
-- cancelled: goods taken back, as a positive number, whichever way the channel tells it.
-- Conversion is exact: whole numbers of 1/10,000 and 1/1,000,000, rounded half away from zero once. Doubles
-- would round ties one way on one engine and the other way on the other.
WITH lines AS (
    SELECT
        l.*,
        CASE
            WHEN l.line_kind = 'sale' THEN l.amount
            WHEN l.line_kind = 'cancellation' AND l.amount > 0 THEN l.amount
            ELSE CAST(0 AS DECIMAL(18, 4))
        END AS gross_amount,
        CASE
            WHEN l.line_kind = 'cancellation' THEN ABS(l.amount) ELSE CAST(0 AS DECIMAL(18, 4))
        END AS cancelled_amount,
        $base_currency AS base_currency_code,
        COALESCE(f.fx_status, 'missing') AS fx_status,
        CAST(f.base_rate * 1000000 AS HUGEINT) AS base_micros,
        CAST(f.rate * 1000000 AS HUGEINT) AS rate_micros
    FROM stg.file_drop__order_line AS l
    LEFT JOIN int.sales__fx_rate AS f
        ON
            l.order_local_date = f.order_local_date
            AND l.currency_code = f.currency_code
            AND f.order_local_date >= $slice_start AND f.order_local_date < $slice_end
    WHERE l.order_local_date >= $slice_start AND l.order_local_date < $slice_end
),

converted AS (
    SELECT
        l.*,
        CAST(
            SIGN(amount) * (
                (2 * CAST(CAST(ABS(amount) AS DECIMAL(38, 4)) * 10000 AS HUGEINT) * base_micros + rate_micros)
                // (2 * rate_micros)
            ) AS DECIMAL(18, 0)
        ) * CAST('0.0001' AS DECIMAL(5, 4)) AS amount_base,
        CAST(
            SIGN(gross_amount) * (
                (2 * CAST(CAST(ABS(gross_amount) AS DECIMAL(38, 4)) * 10000 AS HUGEINT) * base_micros + rate_micros)
                // (2 * rate_micros)
            ) AS DECIMAL(18, 0)
        ) * CAST('0.0001' AS DECIMAL(5, 4)) AS gross_amount_base,
        CAST(
            SIGN(cancelled_amount) * (
                (2 * CAST(CAST(ABS(cancelled_amount) AS DECIMAL(38, 4)) * 10000 AS HUGEINT) * base_micros + rate_micros)
                // (2 * rate_micros)
            ) AS DECIMAL(18, 0)
        ) * CAST('0.0001' AS DECIMAL(5, 4)) AS cancelled_amount_base
    FROM lines AS l
)

SELECT
    row_key AS order_line_key,
    channel_code || '/' || order_id AS order_key,
    channel_code,
    market_code,
    country_code,
    country_name,
    order_local_date,
    ordered_at,
    channel_code || '/' || customer_id AS customer_key,
    channel_code || '/' || sku AS product_key,
    sku,
    product_name,
    flow,
    line_kind,
    line_rule,
    quantity,
    unit_price,
    currency_code,
    amount,
    gross_amount,
    cancelled_amount,
    gross_amount - cancelled_amount AS net_amount,
    base_currency_code,
    fx_status,
    amount_base,
    gross_amount_base,
    cancelled_amount_base,
    gross_amount_base - cancelled_amount_base AS net_amount_base
FROM converted
