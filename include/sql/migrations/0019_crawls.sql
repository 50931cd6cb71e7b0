-- What crawls of our own sites found, one crawl after another; nothing of an older one is ever changed. `crawl_id`
-- begins with the moment at which it began, so that the newest is the last in order. `crawl_date`: the UTC day on which
-- it began. Times are UTC. market_code: ZZ where the site's configuration gives an address to no market.

-- `is_complete`: it saw enough of what was expected to say that something is over, or that there is nothing.
-- `is_comparable`: the crawl before asked the same of the same site; otherwise `not_comparable_reason`.
CREATE TABLE raw.crawl__crawl (
    site_code VARCHAR,
    crawl_id VARCHAR,
    crawl_date DATE,
    started_at TIMESTAMP,
    ended_at TIMESTAMP,
    expected_count BIGINT,
    seen_count BIGINT,
    is_complete BOOLEAN,
    incomplete_reason VARCHAR,
    is_comparable BOOLEAN,
    not_comparable_reason VARCHAR,
    config_hash VARCHAR,
    load_id VARCHAR
);

CREATE TABLE raw.crawl__page (
    site_code VARCHAR,
    crawl_id VARCHAR,
    crawl_date DATE,
    page_key BIGINT,
    url VARCHAR,
    market_code VARCHAR,
    depth BIGINT,
    outcome VARCHAR,
    outcome_reason VARCHAR,
    requested_at TIMESTAMP,
    http_status BIGINT,
    location_url VARCHAR,
    media_type VARCHAR,
    ttfb_ms BIGINT,
    body_bytes BIGINT,
    is_html BOOLEAN,
    is_indexable BOOLEAN,
    is_in_sitemap BOOLEAN,
    inlink_count BIGINT,
    language_code VARCHAR,
    detected_language VARCHAR,
    title VARCHAR,
    description VARCHAR,
    h1 VARCHAR,
    canonical_url VARCHAR,
    word_count BIGINT,
    character_count BIGINT,
    text_hash BIGINT,
    link_score DECIMAL(18,4),
    load_id VARCHAR
);

-- Open issues, and those that ended with this crawl. `change`: new, regressed, still, fixed, gone, unverified; NULL
-- where the crawl cannot be compared. `revenue_amount`: of 28 days, in currency_code, of the products on the page in
-- its market; `revenue_reason` says why it is NULL.
CREATE TABLE raw.crawl__issue (
    site_code VARCHAR,
    crawl_id VARCHAR,
    crawl_date DATE,
    check_id VARCHAR,
    check_version BIGINT,
    severity VARCHAR,
    category VARCHAR,
    market_code VARCHAR,
    page_key BIGINT,
    url VARCHAR,
    state VARCHAR,
    change VARCHAR,
    first_seen_at TIMESTAMP,
    last_seen_at TIMESTAMP,
    state_since TIMESTAMP,
    regressed_count BIGINT,
    affected_count BIGINT,
    evidence VARCHAR,
    is_suppressed BOOLEAN,
    suppressed_by VARCHAR,
    suppressed_reason VARCHAR,
    revenue_amount DECIMAL(18,4),
    currency_code VARCHAR,
    revenue_reason VARCHAR,
    load_id VARCHAR
);

-- `outcome`: fired, passed, not_evaluated (`outcome_reason` says what is missing).
CREATE TABLE raw.crawl__check (
    site_code VARCHAR,
    crawl_id VARCHAR,
    crawl_date DATE,
    check_id VARCHAR,
    check_version BIGINT,
    severity VARCHAR,
    category VARCHAR,
    outcome VARCHAR,
    outcome_reason VARCHAR,
    judged_count BIGINT,
    issue_count BIGINT,
    affected_count BIGINT,
    load_id VARCHAR
);

-- Pages that were added, removed, moved or changed since the last comparable crawl.
CREATE TABLE raw.crawl__page_change (
    site_code VARCHAR,
    crawl_id VARCHAR,
    crawl_date DATE,
    change VARCHAR,
    page_key BIGINT,
    url VARCHAR,
    market_code VARCHAR,
    http_status BIGINT,
    other_url VARCHAR,
    load_id VARCHAR
);

-- index: raw.crawl__crawl (crawl_date)
-- index: raw.crawl__page (crawl_date)
-- index: raw.crawl__issue (crawl_date)
-- index: raw.crawl__check (crawl_date)
-- index: raw.crawl__page_change (crawl_date)
