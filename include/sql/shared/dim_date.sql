SELECT
    CAST(d.moment AS DATE) AS date,
    CAST(EXTRACT(YEAR FROM d.moment) AS INTEGER) AS year_number,
    CAST(EXTRACT(MONTH FROM d.moment) AS INTEGER) AS month_number,
    CAST(EXTRACT(DAY FROM d.moment) AS INTEGER) AS day_number,
    CAST(EXTRACT(ISODOW FROM d.moment) AS INTEGER) AS iso_weekday,
    CAST(DATE_TRUNC('week', d.moment) AS DATE) AS week_start_date,
    CAST(DATE_TRUNC('month', d.moment) AS DATE) AS month_start_date
FROM
    GENERATE_SERIES(
        CAST('1999-01-01' AS TIMESTAMP), CAST('2049-12-31' AS TIMESTAMP), INTERVAL '1' DAY
    ) AS d (moment)
