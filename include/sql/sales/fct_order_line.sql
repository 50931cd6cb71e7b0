-- gross: goods sold, also where the order was cancelled later by its status (a positive cancellation).
-- cancelled: goods taken back, as a positive number, whichever way the channel tells it: by a negative line,
-- by the line's status, or by the status of the whole order in its header.
WITH headers AS (
    SELECT
        channel_code,
        order_id,
        order_local_date,
        MIN(order_kind) AS order_kind
    FROM stg.file_drop__order
    WHERE order_local_date >= $slice_start AND order_local_date < $slice_end
    GROUP BY channel_code, order_id, order_local_date
),

lines AS (
    SELECT
        l.*,
        COALESCE(h.order_kind = 'cancellation', FALSE) AS is_called_off,
        $base_currency AS base_currency_code,
        COALESCE(f.fx_status, 'missing') AS fx_status,
        f.rate_id AS fx_rate_id,
        f.rate_date AS fx_rate_date,
        f.source_code AS fx_source_code,
        f.base_rate,
        f.rate
    FROM stg.file_drop__order_line AS l
    LEFT JOIN int.sales__fx_rate AS f
        ON
            l.order_local_date = f.local_date
            AND l.currency_code = f.currency_code
            AND f.local_date >= $slice_start AND f.local_date < $slice_end
    LEFT JOIN headers AS h
        ON
            l.order_local_date = h.order_local_date
            AND l.channel_code = h.channel_code
            AND l.order_id = h.order_id
    WHERE l.order_local_date >= $slice_start AND l.order_local_date < $slice_end
),

converted AS (
    SELECT
        l.*,
        COALESCE(line_kind = 'sale' OR (line_kind = 'cancellation' AND amount > 0), FALSE) AS is_sold,
        IN_BASE(amount, base_rate, rate) AS amount_base
    FROM lines AS l
),

-- 1 as it was sold, -1 a return told as a negative line; what was returned before its order was called off is
-- part of that.
signed AS (
    SELECT
        c.*,
        CASE
            WHEN line_kind = 'sale' AND is_called_off THEN 1
            WHEN line_kind = 'cancellation' AND amount > 0 THEN 1
            WHEN line_kind = 'cancellation' AND NOT is_called_off THEN -1
            ELSE 0
        END AS cancelled_sign
    FROM converted AS c
),

measured AS (
    SELECT
        s.*,
        CASE WHEN is_sold THEN amount ELSE CAST(0 AS DECIMAL(18, 4)) END AS gross_amount,
        CAST(cancelled_sign * amount AS DECIMAL(18, 4)) AS cancelled_amount,
        CASE WHEN is_sold OR amount_base IS NULL THEN amount_base ELSE CAST(0 AS DECIMAL(18, 4)) END
            AS gross_amount_base,
        CAST(cancelled_sign * amount_base AS DECIMAL(18, 4)) AS cancelled_amount_base
    FROM signed AS s
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
    CASE WHEN line_kind = 'sale' AND is_called_off THEN 'cancellation' ELSE line_kind END AS line_kind,
    line_rule,
    quantity,
    unit_price,
    currency_code,
    amount,
    gross_amount,
    cancelled_amount,
    gross_amount - cancelled_amount AS net_before_refunds_amount,
    base_currency_code,
    fx_status,
    fx_rate_id,
    fx_rate_date,
    fx_source_code,
    amount_base,
    gross_amount_base,
    cancelled_amount_base,
    gross_amount_base - cancelled_amount_base AS net_before_refunds_amount_base
FROM measured
