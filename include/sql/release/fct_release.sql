SELECT
    object_id AS release_id,
    revision,
    COUNT(*) AS message_count,
    COUNT(CASE WHEN state IN ('planned', 'claimed') THEN 1 END) AS planned_count,
    COUNT(CASE WHEN state = 'accepted' THEN 1 END) AS accepted_count,
    COUNT(CASE WHEN state IN ('handed_over', 'unknown', 'operator') THEN 1 END) AS unknown_count,
    COUNT(CASE WHEN state = 'missed' THEN 1 END) AS missed_count,
    COUNT(CASE WHEN state = 'skipped' THEN 1 END) AS skipped_count,
    COUNT(CASE WHEN state = 'rejected' THEN 1 END) AS rejected_count,
    COUNT(CASE WHEN state = 'cancelled' THEN 1 END) AS cancelled_count,
    COUNT(CASE WHEN state = 'operator' THEN 1 END) AS waiting_for_decision_count,
    MIN(promised_at) AS first_promised_at,
    MAX(promised_at) AS last_promised_at,
    MIN(CASE WHEN is_out THEN handed_over_at END) AS first_handed_over_at,
    MAX(CASE WHEN is_out THEN handed_over_at END) AS last_handed_over_at
FROM mart.fct_delivery
WHERE function_code = 'release' AND NOT is_seed
GROUP BY object_id, revision
