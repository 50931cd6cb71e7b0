-- amount_base: at the rate of the refund's day, what it cost then; fct_order converts the same money at its own day's
-- rate, so that an order's net sales are one sum.
-- net_status: the first reason for which a refund is not taken off the net sales of its order, else counted. The same
-- conditions stand in fct_order, which does it; a charge is no part of net sales, so it is not taken off them.
WITH refunds AS (
    SELECT
        r.*,
        $base_currency AS base_currency_code,
        COALESCE(f.fx_status, 'missing') AS fx_status,
        f.rate_id AS fx_rate_id,
        f.rate_date AS fx_rate_date,
        f.source_code AS fx_source_code,
        f.base_rate,
        f.rate
    FROM int.sales__refund AS r
    LEFT JOIN int.sales__fx_rate AS f
        ON
            r.refund_local_date = f.local_date
            AND r.currency_code = f.currency_code
            AND f.local_date >= $slice_start AND f.local_date < $slice_end
    WHERE r.refund_local_date >= $slice_start AND r.refund_local_date < $slice_end
),

orders AS (
    SELECT
        o.order_key,
        o.order_local_date,
        o.market_code,
        o.country_code,
        o.currency_code,
        o.gross_amount - o.cancelled_amount AS left_amount
    FROM mart.fct_order AS o
    WHERE o.order_key IN (SELECT r.order_key FROM refunds AS r)
)

SELECT
    r.refund_key,
    r.refund_id,
    r.order_key,
    r.line_id,
    r.channel_code,
    COALESCE(o.market_code, r.market_code, 'ZZ') AS market_code,
    COALESCE(o.country_code, r.country_code) AS country_code,
    o.order_local_date,
    r.refund_local_date,
    r.refunded_at,
    r.status,
    r.sku,
    r.quantity,
    r.reason,
    r.refund_kind,
    CASE
        WHEN r.refund_kind = 'charge' THEN 'charge'
        WHEN o.order_key IS NULL THEN 'order_unknown'
        WHEN r.currency_code <> o.currency_code THEN 'currency_differs'
        WHEN o.left_amount <= 0 THEN 'nothing_left'
        ELSE 'counted'
    END AS net_status,
    r.currency_code,
    r.amount,
    r.base_currency_code,
    r.fx_status,
    r.fx_rate_id,
    r.fx_rate_date,
    r.fx_source_code,
    IN_BASE(r.amount, r.base_rate, r.rate) AS amount_base
FROM refunds AS r
LEFT JOIN orders AS o
    ON
        r.order_key = o.order_key
        AND COALESCE(r.order_local_date, o.order_local_date) = o.order_local_date
