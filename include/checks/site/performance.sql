-- What checks of speed and size ask.

-- Pages made alike, as far as addresses tell: those of one folder, whatever numbers are in its path.
CREATE TEMP MACRO TEMPLATE_OF(address) AS
REGEXP_EXTRACT(address, '^[a-z]+://[^/?#]*')
|| REGEXP_REPLACE(REGEXP_REPLACE(PATH_OF(address), '[^/]+/?$', '*'), '[0-9]+', '#', 'g');

-- The time to the first byte of each template. page_count: of pages that were sent tonight, not only known to be the
-- same; is_few: too few to tell.
CREATE TEMP TABLE page_template AS
SELECT
    CAST(NULL AS BIGINT) AS page_key,
    TEMPLATE_OF(url) AS url,
    market_code,
    COUNT(sent_ms) AS page_count,
    page_count < 5 AS is_few,
    CAST(QUANTILE_CONT(sent_ms, 0.75) AS BIGINT) AS p75_ms,
    MAX(sent_ms) AS slowest_ms,
    MAX_BY(url, {'ttfb_ms': sent_ms, 'url': url}) FILTER (WHERE sent_ms IS NOT NULL) AS slowest_url
FROM (SELECT *, CASE WHEN outcome = 'fetched' THEN ttfb_ms END AS sent_ms FROM html_page) AS html_page
GROUP BY TEMPLATE_OF(url), market_code
HAVING COUNT(*) >= 5;

-- Answers of own hosts that are text and shrink when they are compressed.
CREATE TEMP VIEW text_answer AS
SELECT * FROM address
WHERE
    kind IN ('page', 'resource')
    AND state = 'ok'
    AND (
        STARTS_WITH(media_type, 'text/')
        OR REGEXP_MATCHES(
            media_type, '^(application|image)/([a-z0-9.-]+\+)?(json|xml|(x-)?javascript|ecmascript|wasm)$'
        )
    );

-- Styles, scripts, fonts and images that are there.
CREATE TEMP VIEW asset AS
SELECT * FROM resource
WHERE state = 'ok';

CREATE TEMP VIEW image_answer AS
SELECT * FROM asset
WHERE STARTS_WITH(media_type, 'image/');

CREATE TEMP VIEW page_with_images AS
SELECT html_page.* FROM html_page
SEMI JOIN image ON html_page.page_key = image.page_key AND image.target_url IS NOT NULL;
