-- A copy of the outbox, one row a message as it stands, without address, subject and payload. Times are UTC.
-- `planned_date`: the day of `planned_for`. `changed_seq`: the number of the outbox's log that changed it last.

CREATE TABLE ops.outbox (
    message_id VARCHAR,
    function VARCHAR,
    object_id VARCHAR,
    revision INTEGER,
    outlet VARCHAR,
    market_code VARCHAR,
    locale VARCHAR,
    purpose VARCHAR,
    variant VARCHAR,
    content_hash VARCHAR,
    state VARCHAR,
    attempt INTEGER,
    planned_for TIMESTAMP,
    not_after TIMESTAMP,
    embargo_until TIMESTAMP,
    due_at TIMESTAMP,
    handed_over_at TIMESTAMP,
    settled_at TIMESTAMP,
    changed_at TIMESTAMP,
    planned_at TIMESTAMP,
    reason VARCHAR,
    changed_seq BIGINT,
    planned_date DATE
);

-- index: ops.outbox (message_id)
-- index: ops.outbox (changed_seq)
-- index: ops.outbox (planned_date)
