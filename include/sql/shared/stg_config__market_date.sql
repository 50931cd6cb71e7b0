WITH newest AS (
    SELECT row_key, MAX(version) AS version
    FROM raw.config__market_date
    GROUP BY row_key
)

SELECT
    r.market_code,
    r.local_date,
    r.utc_start_at,
    r.utc_end_at,
    r.day_length_min,
    r.is_dst_change,
    r.iso_weekday,
    r.is_weekend,
    r.is_holiday,
    r.holiday_name,
    r.is_override,
    r.opening_hours,
    r.open_seconds,
    r.week_start_date,
    r.iso_week,
    r.fiscal_year,
    r.peak_event,
    r.registry_version
FROM raw.config__market_date AS r
INNER JOIN newest AS n ON r.row_key = n.row_key AND r.version = n.version
WHERE r.change = 'row'
