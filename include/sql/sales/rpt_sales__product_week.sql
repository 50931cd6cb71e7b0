WITH lines AS (
    SELECT
        l.*,
        CAST(DATE_TRUNC('week', CAST(l.order_local_date AS TIMESTAMP)) AS DATE) AS week_start_date
    FROM mart.fct_order_line AS l
    WHERE
        l.order_local_date >= $slice_start AND l.order_local_date < $slice_end
        AND l.line_kind IN ('sale', 'cancellation')
)

SELECT
    week_start_date,
    channel_code,
    market_code,
    sku,
    MIN(product_name) AS product_name,
    currency_code,
    MIN(base_currency_code) AS base_currency_code,
    COUNT(DISTINCT CASE WHEN gross_amount > 0 THEN order_key END) AS order_count,
    COALESCE(SUM(CASE WHEN line_kind = 'sale' THEN quantity END), 0) AS unit_count,
    SUM(gross_amount) AS gross_amount,
    SUM(cancelled_amount) AS cancelled_amount,
    SUM(net_before_refunds_amount) AS net_before_refunds_amount,
    SUM(net_before_refunds_amount_base) AS net_before_refunds_amount_base,
    COUNT(*) FILTER (WHERE fx_status = 'missing') AS fx_missing_line_count,
    SUM(CASE WHEN fx_status = 'missing' THEN net_before_refunds_amount ELSE 0 END)
        AS fx_missing_net_before_refunds_amount
FROM lines
GROUP BY week_start_date, channel_code, market_code, sku, currency_code
