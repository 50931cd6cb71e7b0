-- Only keys with more than one version can be superseded: the join's build side stays small.
-- A row that moved to another day left a marker (change = 'moved') of its new version on the old day.
WITH superseded AS (
    SELECT row_key, MAX(version) AS version
    FROM raw.file_drop__order_line
    WHERE order_local_date >= $slice_start AND order_local_date < $slice_end AND version > 1
    GROUP BY row_key
)

SELECT
    r.row_key,
    r.version,
    r.load_id,
    r.channel_code,
    r.market_code,
    r.country_code,
    r.country_name,
    r.currency_code,
    r.order_local_date,
    r.order_id,
    r.line_id,
    r.ordered_at,
    r.updated_at,
    r.status,
    r.flow,
    r.customer_id,
    r.sku,
    r.product_name,
    r.quantity,
    r.unit_price,
    r.discount_amount,
    r.tax_amount,
    r.amount,
    r.line_kind,
    r.line_rule,
    r.utm_source,
    r.utm_medium,
    r.utm_campaign,
    r.click_id,
    r.coupon_code,
    r.referrer_url
FROM raw.file_drop__order_line AS r
LEFT JOIN superseded AS s ON r.row_key = s.row_key
WHERE
    r.order_local_date >= $slice_start AND r.order_local_date < $slice_end
    AND r.change = 'row'
    AND (s.version IS NULL OR r.version = s.version)
