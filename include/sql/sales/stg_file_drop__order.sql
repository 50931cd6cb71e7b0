-- Only keys with more than one version can be superseded: the join's build side stays small.
-- A row that moved to another day left a marker (change = 'moved') of its new version on the old day.
WITH superseded AS (
    SELECT row_key, MAX(version) AS version
    FROM raw.file_drop__order
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
    r.ordered_at,
    r.updated_at,
    r.status,
    r.flow,
    r.customer_id,
    r.total_amount,
    r.shipping_amount,
    r.discount_amount,
    r.tax_amount,
    r.utm_source,
    r.utm_medium,
    r.utm_campaign,
    r.click_id,
    r.coupon_code,
    r.referrer_url,
    COALESCE(r.order_kind, 'sale') AS order_kind,
    r.order_rule
FROM raw.file_drop__order AS r
LEFT JOIN superseded AS s ON r.row_key = s.row_key
WHERE
    r.order_local_date >= $slice_start AND r.order_local_date < $slice_end
    AND r.change = 'row'
    AND (s.version IS NULL OR r.version = s.version)
