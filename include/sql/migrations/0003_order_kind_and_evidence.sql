-- A header may cancel the whole order, and a quarantined row names the row it stands for.

ALTER TABLE raw.file_drop__order ADD COLUMN order_kind VARCHAR;
ALTER TABLE raw.file_drop__order ADD COLUMN order_rule VARCHAR;
ALTER TABLE ops.quarantine ADD COLUMN row_key UUID;

-- Two DAGs may have runs of one name.
ALTER TABLE ops.load ADD COLUMN dag_id VARCHAR;
ALTER TABLE ops.quality_result ADD COLUMN dag_id VARCHAR;
