-- Open issues, and those that ended with this crawl, that somebody answers for leaving so.
--
-- suppression: those that hold on the day of the crawl. `urls`: a regular expression; NULL for any address.
CREATE TEMP TABLE issue_suppression AS
SELECT
    ledger.check_id,
    ledger.url,
    MIN(suppression.owner) AS owner,
    MIN_BY(suppression.reason, suppression.owner) AS reason
FROM ledger
INNER JOIN suppression ON ledger.check_id = suppression.check_id
WHERE suppression.urls IS NULL OR REGEXP_MATCHES(ledger.url, suppression.urls)
GROUP BY ledger.check_id, ledger.url;

-- All that are open: tonight's, and those that were not judged tonight.
CREATE TEMP VIEW open_issue AS
SELECT
    ledger.check_id,
    ledger.url,
    ledger.market_code,
    ledger.change,
    ledger.first_seen_at,
    issue.affected_count,
    issue.evidence,
    ledger.severity,
    ledger.category,
    issue_suppression.check_id IS NOT NULL AS is_suppressed
FROM ledger
LEFT JOIN issue ON ledger.check_id = issue.check_id AND ledger.url = issue.url
LEFT JOIN issue_suppression ON ledger.check_id = issue_suppression.check_id AND ledger.url = issue_suppression.url
WHERE ledger.state = 'open';
