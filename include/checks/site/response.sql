-- What checks of answers ask.

-- What readers and search engines are led to: by a link, a redirect, a sitemap, an alternate, a canonical, search
-- results or a log, or because the site begins there.
CREATE TEMP TABLE named_address AS
SELECT target_key AS page_key FROM link
WHERE page_key <> target_key
UNION
SELECT location_key AS page_key FROM page
UNION
SELECT page_key FROM listed
UNION
SELECT target_key AS page_key FROM hreflang
WHERE page_key <> target_key
UNION
SELECT target_key AS page_key FROM canonical
WHERE page_key <> target_key
UNION
SELECT page_key FROM search_page
UNION
SELECT page_key FROM logged_page
UNION
SELECT page_key FROM seed
WHERE source = 'start'
UNION
SELECT page_key FROM page
WHERE url IN (SELECT market.home_url FROM market);

-- What is asked for only because the last crawl saw it is none of them: it was taken down, and nobody comes there.
CREATE TEMP VIEW reached_address AS
SELECT * FROM asked_address
WHERE kind = 'resource' OR page_key IN (SELECT named_address.page_key FROM named_address);
