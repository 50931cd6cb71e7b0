-- What tonight's crawl says about issues that were known, and about pages of the last comparable crawl. Runs after the
-- audit, in the same database (`views.sql`: address; `facts.py`: issue, unknown).
--
-- comparison: one row. `is_comparable`: the last crawl asked the same of the same site. `is_complete`: this one saw
-- enough of what was expected to say that something is over. `knows_pages`: there_before is known.
-- known: each issue ever found, by check and url; `state` open, fixed or gone.
-- compared: checks that were asked by the same rule in both crawls.
-- judged: what those with open issues looked at tonight. unknown: what of it they could not judge.
-- known_text, there_before: `page_text` and `page_there` as they were last known.

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
FULL JOIN known
    ON issue.check_id = known.check_id AND PLACE_OF(issue.page_key, issue.url) = PLACE_OF(known.page_key, known.url)
LEFT JOIN compared ON COALESCE(issue.check_id, known.check_id) = compared.check_id
LEFT JOIN judged ON known.check_id = judged.check_id AND known.url = judged.url
LEFT JOIN address ON COALESCE(issue.page_key, known.page_key) = address.page_key
LEFT JOIN unknown
    ON known.check_id = unknown.check_id AND PLACE_OF(known.page_key, known.url) = PLACE_OF(unknown.page_key, unknown.url)
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

-- What became of each page that is there, or was when it was last known. What answers otherwise for a night (it fails, is
-- forbidden, leads on for now) is still there: its answer is told by checks.
CREATE TEMP TABLE page_standing AS
SELECT
    COALESCE(page.page_key, there_before.page_key) AS page_key,
    COALESCE(page.url, there_before.url) AS url,
    COALESCE(page.market_code, '') AS market_code,
    page.status_code,
    redirect_path.final_url,
    there_before.page_key IS NOT NULL AS was_there,
    COALESCE(there_before.is_read, FALSE) AS was_read,
    -- Before the first comparison nobody knows whether a page that fails is new.
    NOT comparison.knows_pages AND COALESCE(page.state IN ('server_error', 'unreachable', 'unasked'), FALSE) AS may_be_there,
    COALESCE(page.state = 'ok' AND page.is_html AND page.kept_status_code IS NULL, FALSE) AS is_there,
    -- The text as it was last read whole.
    CASE
        WHEN is_there AND NOT (was_there AND COALESCE(page.is_truncated, FALSE)) THEN page.text_hash
        ELSE there_before.text_hash
    END AS text_hash,
    is_there AND was_there AND NOT COALESCE(page.is_truncated, FALSE)
    AND COALESCE(page.text_hash <> there_before.text_hash, FALSE) AS has_changed,
    was_there AND COALESCE(page.status_code IN (301, 308) AND redirect_path.final_state = 'ok', FALSE) AS has_moved,
    -- What a crawl did not come to is not known to be gone.
    was_there
    AND CASE
        WHEN page.page_key IS NULL THEN comparison.is_complete
        ELSE COALESCE(page.status_code IN (404, 410), FALSE)
    END AS is_removed
FROM (SELECT * FROM address WHERE kind = 'page') AS page
FULL JOIN there_before ON page.page_key = there_before.page_key
LEFT JOIN redirect_path ON page.page_key = redirect_path.page_key
CROSS JOIN comparison;

CREATE TEMP TABLE page_there AS
SELECT
    page_key,
    url,
    text_hash,
    is_there OR was_read AS is_read
FROM page_standing
WHERE is_there OR may_be_there OR (was_there AND NOT has_moved AND NOT is_removed);

CREATE TEMP TABLE page_change AS
SELECT
    CASE
        WHEN has_moved THEN 'moved'
        WHEN is_removed THEN 'removed'
        WHEN has_changed THEN 'changed'
        ELSE 'added'
    END AS change,
    page_key,
    url,
    market_code,
    status_code,
    CASE WHEN has_moved THEN final_url END AS other_url
FROM page_standing
CROSS JOIN comparison
WHERE
    comparison.knows_pages
    AND (has_changed OR (is_there AND NOT was_there) OR (was_read AND (has_moved OR is_removed)));
