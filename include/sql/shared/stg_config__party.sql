WITH newest AS (
    SELECT row_key, MAX(version) AS version
    FROM raw.config__party
    GROUP BY row_key
)

SELECT
    r.party_code,
    r.name,
    r.kind,
    r.country_code,
    r.registration_id
FROM raw.config__party AS r
INNER JOIN newest AS n ON r.row_key = n.row_key AND r.version = n.version
WHERE r.change = 'row'
