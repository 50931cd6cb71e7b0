WITH newest AS (
    SELECT row_key, MAX(version) AS version
    FROM raw.config__ended_currency
    GROUP BY row_key
)

SELECT
    r.currency_code,
    r.ended_date,
    r.successor_code
FROM raw.config__ended_currency AS r
INNER JOIN newest AS n ON r.row_key = n.row_key AND r.version = n.version
WHERE r.change = 'row'
