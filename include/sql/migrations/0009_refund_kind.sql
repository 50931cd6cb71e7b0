-- A refund may give back a charge, which is no part of net sales.

ALTER TABLE raw.file_drop__refund ADD COLUMN refund_kind VARCHAR;
ALTER TABLE raw.file_drop__refund ADD COLUMN refund_rule VARCHAR;
