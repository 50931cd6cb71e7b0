-- What of a crawl goes into the warehouse (raw.crawl__*), after the audit and the comparison.
--
-- stamp: one row, what all rows carry. `market_default`: for addresses that no market has. verdict: each check with its
-- outcome. issue_suppression: of suppression.sql. revenue: what each market's products earned in 28 days, 0 for those
-- that are known and earned nothing. link_score: by page.

CREATE TEMP TABLE delivered_page AS
SELECT
    address.page_key,
    address.url,
    COALESCE(NULLIF(address.market_code, ''), stamp.market_default) AS market_code,
    address.depth,
    address.outcome,
    address.reason AS outcome_reason,
    address.requested_at,
    address.status_code AS http_status,
    address.location_url,
    address.media_type,
    address.ttfb_ms,
    address.body_bytes,
    address.is_html,
    CASE WHEN address.is_html THEN indexable.page_key IS NOT NULL END AS is_indexable,
    listed.page_key IS NOT NULL AS is_in_sitemap,
    COALESCE(inlink.inlink_count, 0) AS inlink_count,
    address.language_code,
    address.detected_language,
    address.title,
    address.description,
    address.h1,
    address.canonical_url,
    address.word_count,
    address.character_count,
    address.text_hash,
    link_score.score AS link_score
FROM (
    SELECT * FROM known_page
    WHERE kept_status_code IS NULL
    UNION ALL BY NAME
    -- What it said before is not what it says tonight.
    SELECT
        page_key,
        url,
        market_code,
        depth,
        outcome,
        reason,
        requested_at,
        status_code
    FROM known_page
    WHERE kept_status_code IS NOT NULL
) AS address
LEFT JOIN indexable ON address.page_key = indexable.page_key
LEFT JOIN listed ON address.page_key = listed.page_key
LEFT JOIN inlink ON address.page_key = inlink.page_key
LEFT JOIN link_score ON address.page_key = link_score.page_key
CROSS JOIN stamp;

-- A page's products by the numbers that they state, or that their offers do. One that is named twice earns once.
CREATE TEMP TABLE page_product AS
WITH product AS (
    SELECT
        page_key,
        UNNEST(numbers) AS sku
    FROM numbered_product
    UNION ALL
    SELECT
        page_key,
        UNNEST(numbers) AS sku
    FROM offered
)

SELECT DISTINCT
    page_key,
    sku
FROM product;

CREATE TEMP TABLE page_revenue AS
SELECT
    address.page_key,
    SUM(revenue.amount) AS amount
FROM address
INNER JOIN page_product ON address.page_key = page_product.page_key
INNER JOIN revenue ON page_product.sku = revenue.sku AND address.market_code = revenue.market_code
GROUP BY address.page_key;

-- Open issues, and those that ended with this crawl.
CREATE TEMP TABLE delivered_issue AS
SELECT
    ledger.check_id,
    issue.check_version,
    ledger.severity,
    ledger.category,
    COALESCE(NULLIF(ledger.market_code, ''), stamp.market_default) AS market_code,
    ledger.page_key,
    ledger.url,
    ledger.state,
    ledger.change,
    ledger.first_seen_at,
    ledger.last_seen_at,
    ledger.state_since,
    ledger.regressed_count,
    issue.affected_count,
    issue.evidence,
    issue_suppression.check_id IS NOT NULL AS is_suppressed,
    issue_suppression.owner AS suppressed_by,
    issue_suppression.reason AS suppressed_reason,
    page_revenue.amount AS revenue_amount,
    stamp.currency_code,
    CASE
        WHEN page_revenue.amount IS NOT NULL THEN NULL
        WHEN stamp.sales_problem IS NOT NULL THEN stamp.sales_problem
        WHEN ledger.page_key IS NULL THEN 'not of one page'
        WHEN COALESCE(ledger.market_code, '') = '' THEN 'the page belongs to no market'
        WHEN product.page_key IS NULL THEN 'no product number on the page'
        ELSE 'the warehouse does not know the product in this market'
    END AS revenue_reason
FROM ledger
LEFT JOIN issue ON ledger.check_id = issue.check_id AND ledger.url = issue.url
LEFT JOIN issue_suppression ON ledger.check_id = issue_suppression.check_id AND ledger.url = issue_suppression.url
LEFT JOIN page_revenue ON ledger.page_key = page_revenue.page_key
LEFT JOIN (SELECT DISTINCT page_key FROM page_product) AS product ON ledger.page_key = product.page_key
CROSS JOIN stamp
WHERE ledger.state = 'open' OR ledger.change IN ('fixed', 'gone');

CREATE TEMP TABLE delivered_check AS
SELECT
    check_id,
    check_version,
    severity,
    category,
    outcome,
    reason AS outcome_reason,
    judged_count,
    CASE WHEN outcome <> 'not_evaluated' THEN issue_count END AS issue_count,
    CASE WHEN outcome <> 'not_evaluated' THEN affected_count END AS affected_count
FROM verdict;

CREATE TEMP TABLE delivered_page_change AS
SELECT
    page_change.change,
    page_change.page_key,
    page_change.url,
    COALESCE(NULLIF(page_change.market_code, ''), stamp.market_default) AS market_code,
    page_change.status_code AS http_status,
    page_change.other_url
FROM page_change
CROSS JOIN stamp;

CREATE TEMP TABLE delivered_crawl AS
SELECT
    started_at,
    ended_at,
    expected_count,
    seen_count,
    is_complete,
    incomplete_reason,
    is_comparable,
    not_comparable_reason,
    config_hash
FROM stamp;
