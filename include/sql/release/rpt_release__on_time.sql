-- Due is what was promised and had its chance: it left, or it was missed. What was skipped, refused or taken back was
-- kept back for a reason that has nothing to do with the time.
WITH ranked AS (
    SELECT
        planned_date,
        object_id AS release_id,
        revision,
        COALESCE(market_code, 'ZZ') AS market_code,
        outlet_code,
        state,
        lateness_seconds,
        is_late,
        COUNT(lateness_seconds) OVER (
            PARTITION BY planned_date, object_id, revision, COALESCE(market_code, 'ZZ'), outlet_code
        ) AS left_count,
        ROW_NUMBER() OVER (
            PARTITION BY planned_date, object_id, revision, COALESCE(market_code, 'ZZ'), outlet_code
            ORDER BY lateness_seconds NULLS LAST, message_id
        ) AS place
    FROM mart.fct_delivery
    WHERE planned_date >= $slice_start AND planned_date < $slice_end AND function_code = 'release' AND NOT is_seed
),

totals AS (
    SELECT
        planned_date,
        release_id,
        revision,
        market_code,
        outlet_code,
        COUNT(*) AS message_count,
        COUNT(lateness_seconds) AS left_count,
        COUNT(CASE WHEN state = 'missed' THEN 1 END) AS missed_count,
        COUNT(CASE WHEN NOT is_late THEN 1 END) AS on_time_count,
        COUNT(CASE WHEN is_late THEN 1 END) AS late_count,
        MIN(CASE WHEN place * 100 >= left_count * 95 THEN lateness_seconds END) AS p95_lateness_seconds,
        MAX(lateness_seconds) AS max_lateness_seconds
    FROM ranked
    GROUP BY planned_date, release_id, revision, market_code, outlet_code
)

SELECT
    planned_date,
    release_id,
    revision,
    market_code,
    outlet_code,
    message_count,
    left_count,
    missed_count,
    left_count + missed_count AS due_count,
    on_time_count,
    late_count,
    CAST(CAST(on_time_count AS DOUBLE) / NULLIF(left_count + missed_count, 0) AS DECIMAL(18, 8)) AS on_time_share,
    p95_lateness_seconds,
    max_lateness_seconds
FROM totals
