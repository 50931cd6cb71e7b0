WITH newest AS (
    SELECT row_key, MAX(version) AS version
    FROM raw.config__channel
    GROUP BY row_key
)

SELECT
    r.channel_code,
    r.name,
    r.kind,
    r.source,
    r.delivery,
    r.market_code,
    r.reporting_zone
FROM raw.config__channel AS r
INNER JOIN newest AS n ON r.row_key = n.row_key AND r.version = n.version
WHERE r.change = 'row'
