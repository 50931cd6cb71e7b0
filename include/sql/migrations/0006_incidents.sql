-- What is, or was, wrong, and who has been told. Times are UTC. An incident is open while closed_at is NULL.

CREATE TABLE ops.incident (
    incident_id VARCHAR, incident_key VARCHAR, kind VARCHAR, severity VARCHAR, subject VARCHAR, what VARCHAR,
    dag_id VARCHAR, task_id VARCHAR, channel_code VARCHAR, market_code VARCHAR, run_id VARCHAR, link VARCHAR,
    opened_at TIMESTAMP, last_seen_at TIMESTAMP, seen_count BIGINT, closed_at TIMESTAMP
);

-- One row for each incident, phase (opened, closed) and target; state is pending, sending, sent or failed.
CREATE TABLE ops.incident_message (
    incident_id VARCHAR, phase VARCHAR, target VARCHAR, state VARCHAR, attempt_count BIGINT, error VARCHAR,
    created_at TIMESTAMP, claimed_at TIMESTAMP, sent_at TIMESTAMP
);
