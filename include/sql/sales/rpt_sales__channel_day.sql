-- Means of money in whole numbers, rounded half away from zero: the same on every engine.
WITH totals AS (
    SELECT
        o.order_local_date,
        o.channel_code,
        o.market_code,
        o.currency_code,
        MIN(o.base_currency_code) AS base_currency_code,
        COUNT(DISTINCT CASE WHEN o.order_kind = 'sale' THEN o.order_key END) AS order_count,
        SUM(o.unit_count) AS unit_count,
        SUM(o.gross_amount) AS gross_amount,
        SUM(o.cancelled_amount) AS cancelled_amount,
        SUM(o.refunded_amount) AS refunded_amount,
        SUM(o.net_amount) AS net_amount,
        SUM(o.charge_amount) AS charge_amount,
        SUM(o.adjustment_amount) AS adjustment_amount,
        SUM(o.total_amount) AS total_amount,
        SUM(o.gross_amount_base) AS gross_amount_base,
        SUM(o.cancelled_amount_base) AS cancelled_amount_base,
        SUM(o.refunded_amount_base) AS refunded_amount_base,
        SUM(o.net_amount_base) AS net_amount_base,
        SUM(o.total_amount_base) AS total_amount_base,
        COUNT(DISTINCT CASE WHEN o.order_kind = 'sale' AND o.fx_status <> 'missing' THEN o.order_key END)
            AS base_order_count,
        COUNT(DISTINCT CASE WHEN o.fx_status = 'missing' THEN o.order_key END) AS fx_missing_order_count,
        SUM(CASE WHEN o.fx_status = 'missing' THEN o.net_amount ELSE 0 END) AS fx_missing_net_amount,
        COUNT(DISTINCT c.customer_key) AS customer_count,
        COUNT(DISTINCT CASE WHEN c.first_order_local_date = c.order_local_date THEN c.customer_key END)
            AS new_customer_count,
        COUNT(DISTINCT CASE WHEN c.first_order_local_date < c.order_local_date THEN c.customer_key END)
            AS returning_customer_count,
        COUNT(DISTINCT CASE WHEN o.order_kind = 'sale' AND o.customer_key IS NULL THEN o.order_key END)
            AS unknown_customer_order_count
    FROM mart.fct_order AS o
    LEFT JOIN int.sales__customer_order AS c
        ON
            o.order_key = c.order_key
            AND o.order_local_date = c.order_local_date
            AND c.order_local_date >= $slice_start AND c.order_local_date < $slice_end
    WHERE o.order_local_date >= $slice_start AND o.order_local_date < $slice_end
    GROUP BY o.order_local_date, o.channel_code, o.market_code, o.currency_code
)

SELECT
    order_local_date,
    channel_code,
    market_code,
    currency_code,
    base_currency_code,
    order_count,
    unit_count,
    gross_amount,
    cancelled_amount,
    refunded_amount,
    net_amount,
    charge_amount,
    adjustment_amount,
    total_amount,
    CAST(
        SIGN(net_amount) * (
            (2 * CAST(CAST(ABS(net_amount) AS DECIMAL(38, 4)) * 10000 AS HUGEINT) + order_count)
            // (2 * NULLIF(order_count, 0))
        ) AS DECIMAL(18, 0)
    ) * CAST('0.0001' AS DECIMAL(5, 4)) AS aov_amount,
    gross_amount_base,
    cancelled_amount_base,
    refunded_amount_base,
    net_amount_base,
    total_amount_base,
    CAST(
        SIGN(net_amount_base) * (
            (2 * CAST(CAST(ABS(net_amount_base) AS DECIMAL(38, 4)) * 10000 AS HUGEINT) + base_order_count)
            // (2 * NULLIF(base_order_count, 0))
        ) AS DECIMAL(18, 0)
    ) * CAST('0.0001' AS DECIMAL(5, 4)) AS aov_amount_base,
    base_order_count,
    fx_missing_order_count,
    fx_missing_net_amount,
    customer_count,
    new_customer_count,
    returning_customer_count,
    unknown_customer_order_count
FROM totals
