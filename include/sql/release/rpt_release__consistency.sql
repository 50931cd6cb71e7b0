-- A page is read back once a day, and more often while it differs: what stays of a day is its last look.
SELECT
    check_date,
    message_id,
    aspect,
    release_id,
    revision,
    outlet AS outlet_code,
    COALESCE(market_code, 'ZZ') AS market_code,
    locale,
    outcome,
    detail,
    checked_at
FROM ops.release_check
WHERE check_date >= $slice_start AND check_date < $slice_end
