-- What Caravan remembers about its own work. Times are UTC.

CREATE TABLE ops.run (
    run_id VARCHAR, dag_id VARCHAR, window_start TIMESTAMP, window_end TIMESTAMP,
    code_revision VARCHAR, config_hash VARCHAR, started_at TIMESTAMP, ended_at TIMESTAMP,
    state VARCHAR, message VARCHAR
);

CREATE TABLE ops.load (
    load_id VARCHAR, run_id VARCHAR, channel_code VARCHAR, entity VARCHAR, table_name VARCHAR,
    delivery_name VARCHAR, content_hash VARCHAR, delivered_at TIMESTAMP,
    state VARCHAR, reason_code VARCHAR, message VARCHAR,
    received_count BIGINT, loaded_count BIGINT, unchanged_count BIGINT, duplicate_count BIGINT,
    quarantined_count BIGINT, stale_count BIGINT, deleted_count BIGINT, moved_count BIGINT,
    first_local_date DATE, last_local_date DATE, started_at TIMESTAMP, ended_at TIMESTAMP
);

CREATE TABLE ops.load_rule (load_id VARCHAR, rule_name VARCHAR, row_count BIGINT);

CREATE TABLE ops.quarantine (
    load_id VARCHAR, channel_code VARCHAR, entity VARCHAR, file_name VARCHAR, row_number BIGINT,
    field_name VARCHAR, reason_code VARCHAR, message VARCHAR, raw_row VARCHAR, quarantined_at TIMESTAMP
);

CREATE TABLE ops.dirty_slice (model_name VARCHAR, slice_date DATE, reason VARCHAR, marked_at TIMESTAMP);

-- Slices that keep their last good rows because a check of cause_model failed.
CREATE TABLE ops.blocked_slice (
    model_name VARCHAR, slice_date DATE, part_value VARCHAR, cause_model VARCHAR, cause_kind VARCHAR,
    reason VARCHAR, run_id VARCHAR, blocked_at TIMESTAMP
);

CREATE TABLE ops.quality_result (
    run_id VARCHAR, model_name VARCHAR, check_name VARCHAR, kind VARCHAR, severity VARCHAR,
    slice_date DATE, part_value VARCHAR, outcome VARCHAR, checked_count BIGINT, failed_count BIGINT,
    message VARCHAR, checked_at TIMESTAMP
);

CREATE TABLE ops.model (
    model_name VARCHAR, definition_hash VARCHAR, row_count BIGINT, first_slice DATE, last_slice DATE,
    built_at TIMESTAMP
);

CREATE TABLE ops.table_version (table_name VARCHAR, version BIGINT);
