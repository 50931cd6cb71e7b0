-- Only keys with more than one version can be superseded: the join's build side stays small.
-- A row that moved to another day left a marker (change = 'moved') of its new version on the old day.
WITH superseded AS (
    SELECT row_key, MAX(version) AS version
    FROM raw.file_drop__offer
    WHERE offer_local_date >= $slice_start AND offer_local_date < $slice_end AND version > 1
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
    r.offer_local_date,
    r.sku,
    r.offered_at,
    r.updated_at,
    r.price,
    r.cost_amount,
    r.stock_count,
    r.availability,
    r.offer_kind,
    r.offer_rule
FROM raw.file_drop__offer AS r
LEFT JOIN superseded AS s ON r.row_key = s.row_key
WHERE
    r.offer_local_date >= $slice_start AND r.offer_local_date < $slice_end
    AND r.change = 'row'
    AND (s.version IS NULL OR r.version = s.version)
