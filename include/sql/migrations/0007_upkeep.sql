-- What ops_warehouse_daily found and left, a row for each chore. `rows` of a lake are snapshots. Times are UTC.

CREATE TABLE ops.upkeep (
    run_id VARCHAR, dag_id VARCHAR, chore VARCHAR, started_at TIMESTAMP, ended_at TIMESTAMP,
    files_before BIGINT, files_after BIGINT, bytes_before BIGINT, bytes_after BIGINT,
    rows_before BIGINT, rows_after BIGINT
);
