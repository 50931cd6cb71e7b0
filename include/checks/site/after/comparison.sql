-- What tonight's crawl says about issues that were known, and about pages of the last comparable crawl. Runs after the
-- audit, in the same database (`views.sql`: address; `facts.py`: issue, unknown, previous_page).
--
-- comparison: one row. `is_comparable`: the last crawl asked the same of the same site. `is_complete`: this one saw
-- enough of what was expected to say that something is over.
-- known: each issue ever found, by check and url; `state` open, fixed or gone.
-- compared: checks that were asked by the same rule in both crawls.
-- judged: what those with open issues looked at tonight. unknown: what of it they could not judge.
-- known_text: `page_text` as it was last known.

-- Whether tonight shows that search engines may show an address no more, were it what they could show before: it is no
-- more, has moved for good, is blocked, or is there and says so.
CREATE TEMP MACRO IS_OVER(state, status_code, is_truncated) AS
COALESCE(status_code IN (301, 308, 404, 410), FALSE)
OR state = 'blocked'
OR (state = 'ok' AND NOT COALESCE(is_truncated, FALSE));

CREATE TEMP TABLE weighed AS
SELECT
    known.state AS was,
    known.first_seen_at,
    known.last_seen_at,
    known.state_since,
    known.regressed_count,
    comparison.crawled_at,
    comparison.is_complete,
    COALESCE(issue.check_id, known.check_id) AS check_id,
    COALESCE(issue.url, known.url) AS url,
    COALESCE(issue.severity, known.severity) AS severity,
    COALESCE(issue.category, known.category) AS category,
    COALESCE(issue.market_code, known.market_code) AS market_code,
    COALESCE(issue.page_key, known.page_key) AS page_key,
    issue.affected_count,
    issue.check_id IS NOT NULL AS fires,
    compared.check_id IS NOT NULL AS is_compared,
    judged.url IS NOT NULL AND unknown.url IS NULL AS is_judged,
    -- No more, moved, or there and no longer one of those that the check looks at. What failed, was not asked for, was
    -- cut off or could not be unpacked says nothing.
    unknown.url IS NULL
    AND (
        address.page_key IS NULL
        OR COALESCE(address.status_code IN (404, 410) OR address.state = 'redirect', FALSE)
        OR (address.state = 'ok' AND address.kept_status_code IS NULL AND NOT COALESCE(address.is_truncated, FALSE))
    ) AS is_absent
FROM issue
FULL JOIN known ON issue.check_id = known.check_id AND issue.url = known.url
LEFT JOIN compared ON COALESCE(issue.check_id, known.check_id) = compared.check_id
LEFT JOIN judged ON known.check_id = judged.check_id AND known.url = judged.url
LEFT JOIN address ON COALESCE(issue.page_key, known.page_key) = address.page_key
LEFT JOIN unknown ON known.check_id = unknown.check_id AND known.url = unknown.url
CROSS JOIN comparison;

-- change: new, regressed (it was over before), still, fixed (its page was judged and passed), gone (its page is no
-- more, or no longer one that the check judges), unverified (open, and not judged tonight); NULL where tonight says nothing new.
CREATE TEMP TABLE weighed_issue AS
SELECT
    *,
    CASE
        WHEN fires AND was = 'open' THEN 'still'
        WHEN fires AND NOT is_compared THEN NULL
        WHEN fires AND was IS NULL THEN 'new'
        WHEN fires THEN 'regressed'
        WHEN was <> 'open' THEN NULL
        WHEN is_compared AND is_complete AND is_judged THEN 'fixed'
        WHEN is_compared AND is_complete AND is_absent THEN 'gone'
        ELSE 'unverified'
    END AS change
FROM weighed;

CREATE TEMP TABLE ledger AS
SELECT
    check_id,
    url,
    severity,
    category,
    market_code,
    page_key,
    CASE WHEN fires THEN 'open' WHEN change IN ('fixed', 'gone') THEN change ELSE was END AS state,
    COALESCE(first_seen_at, crawled_at) AS first_seen_at,
    CASE WHEN fires THEN crawled_at ELSE last_seen_at END AS last_seen_at,
    CASE
        WHEN was IS NULL OR change IN ('regressed', 'fixed', 'gone') OR (fires AND was <> 'open') THEN crawled_at
        ELSE state_since
    END AS state_since,
    COALESCE(regressed_count, 0) + CAST(COALESCE(change = 'regressed', FALSE) AS BIGINT) AS regressed_count,
    change
FROM weighed_issue;

-- What search engines may show, by its text. since: the day whose crawl first read that text; NULL where it may be
-- older, since no crawl before can be compared with that one. What could not be judged tonight stays as it was known.
CREATE TEMP TABLE page_text AS
SELECT
    indexable.page_key,
    indexable.url,
    indexable.text_hash,
    CASE
        WHEN known_text.text_hash = indexable.text_hash THEN known_text.since
        WHEN comparison.is_comparable THEN CAST(comparison.crawled_at AS DATE)
    END AS since
FROM indexable
LEFT JOIN known_text ON indexable.page_key = known_text.page_key
CROSS JOIN comparison
UNION ALL
SELECT
    known_text.page_key,
    known_text.url,
    known_text.text_hash,
    known_text.since
FROM known_text
ANTI JOIN indexable ON known_text.page_key = indexable.page_key
LEFT JOIN address ON known_text.page_key = address.page_key
CROSS JOIN comparison
WHERE
    CASE
        WHEN address.page_key IS NULL THEN NOT comparison.is_complete
        ELSE NOT IS_OVER(address.state, address.status_code, address.is_truncated)
    END;

-- What the last crawl knew of each page: one that failed then stood as it had been read before. was_seen: not where
-- nobody had ever read it.
CREATE TEMP TABLE page_before AS
SELECT
    page_key,
    url,
    text_hash,
    COALESCE(is_html AND COALESCE(kept_status_code, status_code) = 200, FALSE) AS was_there,
    kept_status_code IS NOT NULL
    OR (
        outcome IN ('fetched', 'not_modified', 'blocked')
        AND COALESCE(status_code BETWEEN 200 AND 499 AND status_code <> 429, TRUE)
        AND NOT COALESCE(is_truncated, FALSE)
        AND COALESCE(reason NOT IN ('timeout', 'broken', 'encoding', 'empty'), TRUE)
    ) AS was_seen
FROM previous_page
WHERE kind = 'page';

-- Pages that were there in one of the two crawls. One that could not be seen in either is neither there nor gone.
CREATE TEMP TABLE page_change AS
WITH both_crawls AS (
    SELECT
        COALESCE(address.page_key, page_before.page_key) AS page_key,
        COALESCE(address.url, page_before.url) AS url,
        address.market_code,
        address.status_code,
        redirect_path.final_url,
        COALESCE(address.state = 'ok' AND address.is_html, FALSE) AND COALESCE(page_before.was_seen, TRUE) AS is_there,
        COALESCE(page_before.was_there AND page_before.was_seen, FALSE) AS was_there,
        NOT COALESCE(address.is_truncated, FALSE) AND address.text_hash IS DISTINCT FROM page_before.text_hash
            AS has_changed,
        (address.page_key IS NULL AND page_before.was_seen)
        OR COALESCE(address.status_code IN (404, 410), FALSE) AS is_absent,
        COALESCE(address.status_code IN (301, 308) AND redirect_path.final_state = 'ok', FALSE) AS has_moved
    FROM (SELECT * FROM address WHERE kind = 'page') AS address
    FULL JOIN page_before ON address.page_key = page_before.page_key
    LEFT JOIN redirect_path ON address.page_key = redirect_path.page_key
)

SELECT
    CASE
        WHEN is_there AND NOT was_there THEN 'added'
        WHEN is_there AND has_changed THEN 'changed'
        WHEN was_there AND has_moved THEN 'moved'
        WHEN was_there AND is_absent THEN 'removed'
    END AS change,
    page_key,
    url,
    COALESCE(market_code, '') AS market_code,
    status_code,
    CASE WHEN was_there AND has_moved THEN final_url END AS other_url
FROM both_crawls
CROSS JOIN comparison
WHERE
    comparison.is_comparable
    AND (
        (is_there AND (NOT was_there OR has_changed))
        OR (was_there AND has_moved)
        -- What a crawl did not come to is not known to be gone; what answers 404 is.
        OR (was_there AND is_absent AND (comparison.is_complete OR status_code IS NOT NULL))
    );
