-- unknown: payments and shipments of a party that is not configured, or not named, stand under it.
SELECT
    party_code,
    name,
    kind,
    country_code,
    registration_id
FROM stg.config__party
UNION ALL
SELECT
    'unknown' AS party_code,
    'Unknown' AS name,
    'unknown' AS kind,
    CAST(NULL AS VARCHAR) AS country_code,
    CAST(NULL AS VARCHAR) AS registration_id
