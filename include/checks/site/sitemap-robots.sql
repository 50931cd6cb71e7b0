-- What checks of sitemaps and robots.txt ask.

-- Pages of the site that its sitemaps list, asked for or not.
CREATE TEMP VIEW listed_page AS
SELECT
    known_page.*,
    listed.sitemap_url,
    listed.lastmod_at
FROM known_page
INNER JOIN listed ON known_page.page_key = listed.page_key;

-- Sitemaps that somebody declared: an address that was only tried may be missing, or be a page that says so.
CREATE TEMP VIEW sitemap_file AS
SELECT
    sitemap.*,
    unread_sitemap.url IS NOT NULL AS is_unread,
    CAST(NULL AS BIGINT) AS page_key,
    '' AS market_code
FROM sitemap
LEFT JOIN (SELECT DISTINCT url FROM unread_sitemap) AS unread_sitemap ON sitemap.url = unread_sitemap.url
WHERE
    sitemap.declared_in <> 'guess'
    OR (sitemap.status_code = 200 AND sitemap.kind IS NOT NULL)
    -- It was read before, and stands for what it listed.
    OR sitemap.url IN (SELECT sitemap_url.sitemap_url FROM sitemap_url)
    OR sitemap.url IN (SELECT child.parent_url FROM sitemap AS child);

-- Pages with alternates in a sitemap.
CREATE TEMP VIEW page_of_sitemap_hreflang AS
SELECT * FROM known_page
WHERE page_key IN (SELECT hreflang.page_key FROM hreflang WHERE hreflang.source = 'sitemap');

-- Pages of a site that has a sitemap at all.
CREATE TEMP VIEW page_to_list AS
SELECT * FROM indexable
WHERE EXISTS (SELECT 1 FROM listed);

-- robots.txt by host of the site: those of other sites were read to ask for what pages link to there.
CREATE TEMP VIEW robots_file AS
SELECT
    robots.*,
    CAST(NULL AS BIGINT) AS page_key,
    '' AS market_code
FROM robots
WHERE robots.host IN (SELECT page.host FROM page WHERE page.kind <> 'external');

-- robots.txt of this and the last comparable crawl.
CREATE TEMP VIEW robots_pair AS
SELECT
    robots_file.*,
    previous_robots.content AS previous_content,
    previous_robots.outcome AS previous_outcome
FROM robots_file
INNER JOIN previous_robots ON robots_file.host = previous_robots.host
WHERE robots_file.outcome IN ('read', 'none') AND previous_robots.outcome IN ('read', 'none');

-- Rules by crawler, of both: lines that name crawlers one after the other share the rules behind them.
CREATE TEMP VIEW robots_rule AS
WITH line AS (
    SELECT
        host,
        is_previous,
        GENERATE_SUBSCRIPTS(lines, 1) AS number,
        TRIM(REGEXP_REPLACE(UNNEST(lines), '#.*', '')) AS text
    FROM (
        SELECT
            host,
            FALSE AS is_previous,
            STRING_SPLIT(REPLACE(COALESCE(content, ''), CHR(13), CHR(10)), CHR(10)) AS lines
        FROM robots_pair
        UNION ALL
        SELECT
            host,
            TRUE AS is_previous,
            STRING_SPLIT(REPLACE(COALESCE(previous_content, ''), CHR(13), CHR(10)), CHR(10)) AS lines
        FROM robots_pair
    )
),

field AS (
    SELECT
        host,
        is_previous,
        number,
        LOWER(TRIM(SPLIT_PART(text, ':', 1))) AS name,
        TRIM(SUBSTR(text, POSITION(':' IN text) + 1)) AS value
    FROM line
    WHERE REGEXP_MATCHES(text, '(?i)^(user-agent|allow|disallow|crawl-delay)\s*:')
),

opened AS (
    SELECT
        *,
        name = 'user-agent'
        AND COALESCE(LAG(name) OVER (PARTITION BY host, is_previous ORDER BY number), '') <> 'user-agent' AS opens
    FROM field
),

grouped AS (
    SELECT
        *,
        COUNT(*) FILTER (WHERE opens) OVER (PARTITION BY host, is_previous ORDER BY number) AS group_number
    FROM opened
)

SELECT
    agent.host,
    agent.is_previous,
    LOWER(agent.value) AS agent,
    LIST(rule.name || ': ' || rule.value ORDER BY rule.number) FILTER (WHERE rule.number IS NOT NULL) AS rules
FROM grouped AS agent
LEFT JOIN grouped AS rule
    ON
        agent.host = rule.host
        AND agent.is_previous = rule.is_previous
        AND agent.group_number = rule.group_number
        AND rule.name <> 'user-agent'
WHERE agent.name = 'user-agent'
GROUP BY agent.host, agent.is_previous, LOWER(agent.value);
