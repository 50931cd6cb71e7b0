SELECT
    release_id,
    revision,
    market_code,
    title,
    kind,
    audience,
    action,
    owner,
    standing,
    zone,
    planned_at,
    local_at,
    local_date,
    outlets,
    is_gone
FROM stg.config__release
