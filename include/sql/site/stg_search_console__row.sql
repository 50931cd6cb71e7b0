-- Only keys with more than one version can be superseded: the join's build side stays small.
WITH superseded AS (
    SELECT row_key, MAX(version) AS version
    FROM raw.search_console__row
    WHERE search_local_date >= $slice_start AND search_local_date < $slice_end AND version > 1
    GROUP BY row_key
)

SELECT
    r.row_key,
    r.version,
    r.load_id,
    r.site_code,
    r.property_url,
    r.search_local_date,
    r.search_type,
    r.breakdown,
    r.market_code,
    r.country_code,
    r.device,
    r.page_url,
    r.query_text,
    r.click_count,
    r.impression_count,
    r.position_sum,
    r.is_final
FROM raw.search_console__row AS r
LEFT JOIN superseded AS s ON r.row_key = s.row_key
WHERE
    r.search_local_date >= $slice_start AND r.search_local_date < $slice_end
    AND r.change = 'row'
    AND (s.version IS NULL OR r.version = s.version)
