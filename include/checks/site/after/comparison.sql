-- What tonight's crawl says about issues that were known, and about pages of the last comparable crawl. Runs after the
-- audit, in the same database (`views.sql`: address; `facts.py`: issue, previous_page).
--
-- comparison: one row. `is_comparable`: the last crawl asked the same of the same site. `is_complete`: this one saw
-- enough of what was expected to say that something is over.
-- known: each issue ever found, by check and url; `state` open, fixed or gone.
-- compared: checks that were evaluated by the same rule in both crawls, and the view whose rows each judges.
-- resting: checks, and the other pages that have a share in what they tell of one (`rests_on` of the catalogue).
-- judged: what those with open issues looked at tonight.
-- known_text: `page_text` as it was last known.

-- Whether tonight shows that search engines may show an address no more, were it what they could show before: it is no
-- more, has moved for good, is blocked, or is there and says so.
CREATE TEMP MACRO IS_OVER(state, status_code, is_truncated) AS
COALESCE(status_code IN (301, 308, 404, 410), FALSE)
OR state = 'blocked'
OR (state = 'ok' AND NOT COALESCE(is_truncated, FALSE));

-- What could not be read tonight. What was not asked is here where the last crawl read it, or an issue waits for it.
CREATE TEMP TABLE unread AS
SELECT
    address.page_key,
    address.url,
    COALESCE(previous_page.status_code BETWEEN 200 AND 399, FALSE) AS was_read
FROM address
LEFT JOIN previous_page ON address.page_key = previous_page.page_key
WHERE
    address.state IN ('unreachable', 'server_error')
    OR address.status_code = 429
    OR (
        address.state = 'unasked'
        AND (
            previous_page.status_code BETWEEN 200 AND 299
            OR address.url IN (SELECT UNNEST(known.other_urls) FROM known WHERE known.state = 'open')
        )
    )
    OR (address.is_truncated AND NOT previous_page.is_truncated);

-- Of tonight's issues that rest on other pages, those that are in evidence.
CREATE TEMP TABLE rested AS
SELECT
    issue.check_id,
    issue.url,
    LIST(DISTINCT address.url) AS other_urls
FROM issue
SEMI JOIN (SELECT check_id FROM resting WHERE rests_on IN ('links', 'others')) AS by_others
    ON issue.check_id = by_others.check_id
CROSS JOIN LATERAL (
    SELECT said.atom ->> '$' AS url
    FROM JSON_TREE(issue.evidence) AS said
    WHERE said.type = 'VARCHAR'
) AS named
INNER JOIN address ON named.url = address.url AND address.url <> issue.url
GROUP BY issue.check_id, issue.url;

-- Where those pages and sitemaps that could not be read tonight led to in the last crawl, also through what tonight's
-- never came to. is_linked: not only by a sitemap.
CREATE TEMP TABLE led_to AS
WITH RECURSIVE missed AS (
    SELECT previous_page.page_key FROM previous_page
    ANTI JOIN address ON previous_page.page_key = address.page_key
),

lead AS MATERIALIZED (
    SELECT
        previous_link.page_key,
        previous_link.target_key
    FROM previous_link
    SEMI JOIN (SELECT page_key FROM unread UNION ALL SELECT page_key FROM missed) AS silent
        ON previous_link.page_key = silent.page_key
    SEMI JOIN (SELECT page_key FROM known WHERE state = 'open' UNION ALL SELECT page_key FROM missed) AS asked
        ON previous_link.target_key = asked.page_key
    UNION
    SELECT
        page_key,
        location_key AS target_key
    FROM previous_page
    WHERE location_key IS NOT NULL
),

reached AS (
    SELECT
        lead.target_key AS page_key,
        unread.url AS from_url,
        TRUE AS is_linked
    FROM unread
    INNER JOIN lead ON unread.page_key = lead.page_key
    UNION
    SELECT
        previous_sitemap_url.page_key,
        unread_sitemap.url AS from_url,
        FALSE AS is_linked
    FROM previous_sitemap_url
    INNER JOIN unread_sitemap ON previous_sitemap_url.sitemap_url = unread_sitemap.url
    SEMI JOIN missed ON previous_sitemap_url.page_key = missed.page_key
    UNION
    SELECT
        lead.target_key AS page_key,
        reached.from_url,
        TRUE AS is_linked
    FROM reached
    SEMI JOIN missed ON reached.page_key = missed.page_key
    INNER JOIN lead ON reached.page_key = lead.page_key
)

SELECT * FROM reached;

-- Open issues that another page has a share in which could not be read tonight: what was wrong may be so still.
-- from_url: that page, which the issue waits for.
CREATE TEMP TABLE waiting AS
WITH about AS (
    SELECT
        known.check_id,
        known.url,
        known.page_key,
        known.other_urls,
        resting.rests_on,
        address.page_key IS NULL AS is_missed,
        -- What answers otherwise itself is neither a broken link nor one to a redirect, whoever has it.
        COALESCE(
            CASE
                WHEN compared.over IN ('asked_address', 'reached_address', 'external_target', 'known_page', 'resource')
                    THEN address.state = 'ok'
                WHEN compared.over IN ('redirect_page', 'canonicalised', 'html_page')
                    THEN judged.url IS NULL AND address.state IN ('ok', 'redirect', 'client_error')
            END,
            FALSE
        ) AS is_settled
    FROM known
    INNER JOIN compared ON known.check_id = compared.check_id
    LEFT JOIN resting ON known.check_id = resting.check_id
    LEFT JOIN judged ON known.check_id = judged.check_id AND known.url = judged.url
    LEFT JOIN address ON known.page_key = address.page_key
    WHERE known.state = 'open'
),

other AS (
    SELECT
        *,
        UNNEST(other_urls) AS other_url
    FROM about
)

SELECT
    about.check_id,
    about.url,
    led_to.from_url
FROM about
INNER JOIN led_to ON about.page_key = led_to.page_key
WHERE about.is_missed OR (about.rests_on = 'links' AND led_to.is_linked AND NOT about.is_settled)
UNION
SELECT
    other.check_id,
    other.url,
    other.other_url AS from_url
FROM other
SEMI JOIN (SELECT url FROM unread UNION ALL SELECT url FROM unread_sitemap) AS silent ON other.other_url = silent.url
WHERE other.is_missed OR other.rests_on = 'others' OR (other.rests_on = 'links' AND NOT other.is_settled)
UNION
SELECT
    about.check_id,
    about.url,
    unread.url AS from_url
FROM about
INNER JOIN (
    SELECT
        page_key,
        target_key
    FROM link
    UNION ALL
    SELECT
        page_key,
        final_key AS target_key
    FROM redirect_path
) AS lead ON about.page_key = lead.page_key
INNER JOIN unread ON lead.target_key = unread.page_key
WHERE about.rests_on = 'targets' AND (unread.was_read OR LIST_CONTAINS(about.other_urls, unread.url))
UNION
SELECT
    about.check_id,
    about.url,
    unread.url AS from_url
FROM about
INNER JOIN alternate ON about.page_key = alternate.page_key
INNER JOIN unread ON alternate.target_key = unread.page_key
WHERE about.rests_on = 'alternates'
UNION
SELECT
    about.check_id,
    about.url,
    unread.url AS from_url
FROM about
INNER JOIN html_page ON about.page_key = html_page.page_key
INNER JOIN unread ON html_page.canonical_key = unread.page_key
WHERE about.rests_on = 'canonical';

CREATE TEMP TABLE doubtful AS
SELECT
    check_id,
    url,
    LIST(DISTINCT from_url) AS from_urls
FROM waiting
GROUP BY check_id, url;

CREATE TEMP TABLE weighed AS
SELECT
    known.state AS was,
    known.first_seen_at,
    known.last_seen_at,
    known.state_since,
    known.regressed_count,
    CASE
        WHEN issue.check_id IS NOT NULL THEN rested.other_urls
        WHEN doubtful.url IS NULL THEN known.other_urls
        ELSE LIST_DISTINCT(COALESCE(known.other_urls, []) || doubtful.from_urls)
    END AS other_urls,
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
    judged.url IS NOT NULL AND doubtful.url IS NULL AS is_judged,
    -- No more, moved, or there and no longer one of those that the check looks at. What failed, was not asked for or was
    -- cut off says nothing.
    doubtful.url IS NULL
    AND (
        address.page_key IS NULL
        OR COALESCE(address.status_code IN (404, 410) OR address.state = 'redirect', FALSE)
        OR (address.state = 'ok' AND NOT COALESCE(address.is_truncated, FALSE))
    ) AS is_absent
FROM issue
FULL JOIN known ON issue.check_id = known.check_id AND issue.url = known.url
LEFT JOIN rested ON issue.check_id = rested.check_id AND issue.url = rested.url
LEFT JOIN compared ON COALESCE(issue.check_id, known.check_id) = compared.check_id
LEFT JOIN judged ON known.check_id = judged.check_id AND known.url = judged.url
LEFT JOIN doubtful ON known.check_id = doubtful.check_id AND known.url = doubtful.url
LEFT JOIN address ON COALESCE(issue.page_key, known.page_key) = address.page_key
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
    change,
    other_urls
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

-- What the last crawl read whole of each page; where it could not, what was known of the page before, if anything.
CREATE TEMP TABLE page_before AS
SELECT
    previous_page.page_key,
    previous_page.url,
    CASE WHEN seen.was_seen THEN previous_page.text_hash ELSE known_text.text_hash END AS text_hash,
    CASE
        WHEN seen.was_seen THEN COALESCE(previous_page.status_code = 200 AND previous_page.is_html, FALSE)
        ELSE known_text.page_key IS NOT NULL
    END AS was_there,
    seen.was_seen,
    seen.was_seen OR known_text.page_key IS NOT NULL AS is_known
FROM previous_page
INNER JOIN (
    SELECT
        page_key,
        outcome IN ('fetched', 'not_modified', 'blocked')
        AND COALESCE(status_code BETWEEN 200 AND 499 AND status_code <> 429, TRUE)
        AND NOT COALESCE(is_truncated, FALSE)
        AND COALESCE(reason NOT IN ('timeout', 'broken', 'encoding', 'empty'), TRUE) AS was_seen
    FROM previous_page
) AS seen ON previous_page.page_key = seen.page_key
LEFT JOIN known_text ON previous_page.page_key = known_text.page_key
WHERE previous_page.kind = 'page';

-- Pages that were there in one of the two crawls. One that could not be seen in either is neither there nor gone: seen
-- again it is held against what was known of it before.
CREATE TEMP TABLE page_change AS
WITH both_crawls AS (
    SELECT
        COALESCE(address.page_key, page_before.page_key) AS page_key,
        COALESCE(address.url, page_before.url) AS url,
        address.market_code,
        address.status_code,
        redirect_path.final_url,
        COALESCE(address.state = 'ok' AND address.is_html, FALSE) AND COALESCE(page_before.is_known, TRUE) AS is_there,
        COALESCE(page_before.was_there, FALSE) AS was_there,
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
