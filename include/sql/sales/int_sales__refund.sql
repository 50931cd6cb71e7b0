-- Lines of one order may stand under two days, and it has a row in fct_order for each: its refunds belong to the first,
-- once, whichever days are built. A refund whose order has no lines yet, or never any, has no day of an order.
WITH refunds AS (
    SELECT
        r.*,
        r.channel_code || '/' || r.order_id AS order_key
    FROM stg.file_drop__refund AS r
    WHERE r.refund_local_date >= $slice_start AND r.refund_local_date < $slice_end
),

orders AS (
    SELECT
        l.order_key,
        MIN(l.order_local_date) AS order_local_date
    FROM mart.fct_order_line AS l
    WHERE l.order_key IN (SELECT r.order_key FROM refunds AS r)
    GROUP BY l.order_key
)

SELECT
    r.row_key AS refund_key,
    r.order_key,
    r.channel_code,
    r.refund_id,
    r.line_id,
    r.market_code,
    r.country_code,
    o.order_local_date,
    r.refund_local_date,
    r.refunded_at,
    r.status,
    r.sku,
    r.quantity,
    r.currency_code,
    r.amount,
    r.refund_kind,
    r.reason
FROM refunds AS r
LEFT JOIN orders AS o ON r.order_key = o.order_key
