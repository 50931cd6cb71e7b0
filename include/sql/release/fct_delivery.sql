-- Lateness is of what left or may have left: what a definite no sent back keeps the time of its last attempt.
WITH messages AS (
    SELECT
        o.message_id,
        o.planned_date,
        o.function AS function_code,
        o.object_id,
        o.revision,
        o.outlet AS outlet_code,
        o.market_code,
        o.locale,
        o.purpose,
        o.variant,
        COALESCE(o.variant, '') = 'seed' AS is_seed,
        o.state,
        o.reason,
        CAST(o.attempt AS BIGINT) AS attempt_count,
        o.planned_for AS promised_at,
        o.not_after AS expires_at,
        o.embargo_until AS embargo_ends_at,
        o.handed_over_at,
        o.settled_at,
        o.changed_at,
        o.state IN ('accepted', 'handed_over', 'unknown', 'operator') AS is_out
    FROM ops.outbox AS o
    WHERE o.planned_date >= $slice_start AND o.planned_date < $slice_end
)

SELECT
    message_id,
    planned_date,
    function_code,
    object_id,
    revision,
    outlet_code,
    market_code,
    locale,
    purpose,
    variant,
    is_seed,
    state,
    reason,
    attempt_count,
    promised_at,
    expires_at,
    embargo_ends_at,
    handed_over_at,
    settled_at,
    changed_at,
    is_out,
    CASE
        WHEN is_out
            THEN CAST(
                CAST(EXTRACT(EPOCH FROM handed_over_at) AS DECIMAL(18, 6))
                - CAST(EXTRACT(EPOCH FROM promised_at) AS DECIMAL(18, 6)) AS DECIMAL(18, 6)
            )
    END AS lateness_seconds,
    CASE WHEN is_out THEN handed_over_at > promised_at + INTERVAL '60' SECOND END AS is_late
FROM messages
