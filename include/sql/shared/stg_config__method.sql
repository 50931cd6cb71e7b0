WITH newest AS (
    SELECT row_key, MAX(version) AS version
    FROM raw.config__method
    GROUP BY row_key
)

SELECT
    r.method_code,
    r.name,
    r.kind,
    r.description
FROM raw.config__method AS r
INNER JOIN newest AS n ON r.row_key = n.row_key AND r.version = n.version
WHERE r.change = 'row'
