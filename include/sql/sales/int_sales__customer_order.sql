-- History model: reads every earlier order of the customers who ordered in the slice.
WITH buyers AS (
    SELECT DISTINCT customer_key
    FROM mart.fct_order
    WHERE
        order_local_date >= $slice_start AND order_local_date < $slice_end
        AND order_kind = 'sale' AND customer_key IS NOT NULL
),

sequenced AS (
    SELECT
        o.order_key,
        o.customer_key,
        o.channel_code,
        o.order_local_date,
        o.ordered_at,
        ROW_NUMBER() OVER (
            PARTITION BY o.customer_key ORDER BY o.order_local_date, o.ordered_at, o.order_key
        ) AS order_sequence,
        MIN(o.order_local_date) OVER (PARTITION BY o.customer_key) AS first_order_local_date
    FROM mart.fct_order AS o
    INNER JOIN buyers AS b ON o.customer_key = b.customer_key
    WHERE o.order_local_date < $slice_end AND o.order_kind = 'sale'
)

SELECT
    order_key,
    customer_key,
    channel_code,
    order_local_date,
    ordered_at,
    order_sequence,
    first_order_local_date
FROM sequenced
WHERE order_local_date >= $slice_start
