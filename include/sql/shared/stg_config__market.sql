WITH newest AS (
    SELECT row_key, MAX(version) AS version
    FROM raw.config__market
    GROUP BY row_key
)

SELECT
    r.market_code,
    r.name,
    r.country_code,
    r.currency_code,
    r.zone
FROM raw.config__market AS r
INNER JOIN newest AS n ON r.row_key = n.row_key AND r.version = n.version
WHERE r.change = 'row'
