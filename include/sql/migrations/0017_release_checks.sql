-- What outlets showed when releases were read back: one row for each message, UTC day and aspect, of the last look of
-- the day.
-- `aspect`: presence, version, text, price, links, hreflang, language. `outcome`: same, differs, unanswered (it could
-- not be asked, and is asked again), not_evaluated (it cannot be known). `detail`: in words. Times are UTC.

CREATE TABLE ops.release_check (
    check_date DATE,
    checked_at TIMESTAMP,
    message_id VARCHAR,
    release_id VARCHAR,
    revision INTEGER,
    outlet VARCHAR,
    market_code VARCHAR,
    locale VARCHAR,
    aspect VARCHAR,
    outcome VARCHAR,
    detail VARCHAR
);

-- index: ops.release_check (check_date)
