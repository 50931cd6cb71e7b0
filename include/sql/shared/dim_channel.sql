SELECT
    channel_code,
    name,
    kind,
    source,
    delivery,
    market_code,
    reporting_zone
FROM stg.config__channel
