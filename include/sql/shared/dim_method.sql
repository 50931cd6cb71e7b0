-- unknown: what came to us by no method that is configured, or by none that anybody noted.
SELECT
    method_code,
    name,
    kind,
    description
FROM stg.config__method
UNION ALL
SELECT
    'unknown' AS method_code,
    'Unknown' AS name,
    'unknown' AS kind,
    CAST(NULL AS VARCHAR) AS description
