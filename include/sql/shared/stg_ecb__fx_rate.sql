-- Only keys with more than one version can be superseded: the join's build side stays small.
WITH superseded AS (
    SELECT row_key, MAX(version) AS version
    FROM raw.ecb__fx_rate
    WHERE rate_date >= $slice_start AND rate_date < $slice_end AND version > 1
    GROUP BY row_key
)

SELECT
    r.rate_date,
    r.currency_code,
    r.rate
FROM raw.ecb__fx_rate AS r
LEFT JOIN superseded AS s ON r.row_key = s.row_key
WHERE
    r.rate_date >= $slice_start AND r.rate_date < $slice_end
    AND r.change = 'row'
    AND (s.version IS NULL OR r.version = s.version)
