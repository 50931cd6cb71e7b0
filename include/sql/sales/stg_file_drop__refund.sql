-- Only keys with more than one version can be superseded: the join's build side stays small.
-- A row that moved to another day left a marker (change = 'moved') of its new version on the old day.
WITH superseded AS (
    SELECT row_key, MAX(version) AS version
    FROM raw.file_drop__refund
    WHERE refund_local_date >= $slice_start AND refund_local_date < $slice_end AND version > 1
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
    r.refund_local_date,
    r.refund_id,
    r.order_id,
    r.line_id,
    r.refunded_at,
    r.updated_at,
    r.status,
    r.sku,
    r.quantity,
    r.amount,
    r.reason,
    COALESCE(r.refund_kind, 'sale') AS refund_kind,
    r.refund_rule
FROM raw.file_drop__refund AS r
LEFT JOIN superseded AS s ON r.row_key = s.row_key
WHERE
    r.refund_local_date >= $slice_start AND r.refund_local_date < $slice_end
    AND r.change = 'row'
    AND (s.version IS NULL OR r.version = s.version)
