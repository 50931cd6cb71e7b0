-- What checks of links ask.

-- Where visits begin: the markets' home pages, else the addresses that the crawl was given.
CREATE TEMP TABLE home AS
SELECT DISTINCT address.page_key
FROM address
WHERE
    address.url IN (SELECT market.home_url FROM market)
    OR (
        NOT EXISTS (SELECT 1 FROM market WHERE market.home_url IS NOT NULL)
        AND address.page_key IN (SELECT seed.page_key FROM seed WHERE seed.source = 'start')
    );

-- Clicks from the home page of its own market. What only another market links to is not here.
CREATE TEMP TABLE click_depth AS
WITH RECURSIVE own_edge AS MATERIALIZED (
    SELECT
        edge.page_key,
        edge.target_key
    FROM edge
    INNER JOIN page_market AS source ON edge.page_key = source.page_key
    INNER JOIN page_market AS target ON edge.target_key = target.page_key AND source.market_code = target.market_code
),

reached (page_key, click_count) USING KEY (page_key) AS (
    SELECT
        home.page_key,
        0 AS click_count
    FROM home
    UNION
    SELECT
        own_edge.target_key AS page_key,
        ANY_VALUE(reached.click_count) + 1 AS click_count
    FROM reached
    INNER JOIN own_edge ON reached.page_key = own_edge.page_key
    ANTI JOIN recurring.reached AS known ON own_edge.target_key = known.page_key
    GROUP BY own_edge.target_key
)

SELECT * FROM reached;

-- Styles, scripts and images that are not there.
CREATE TEMP VIEW broken_file AS
SELECT * FROM resource
WHERE state IN ('client_error', 'server_error', 'unreachable');

-- Pages that something else than a link leads to.
CREATE TEMP VIEW announced_page AS
SELECT
    html_page.*,
    LIST_FILTER([
        CASE WHEN html_page.page_key IN (SELECT listed.page_key FROM listed) THEN 'sitemap' END,
        CASE WHEN html_page.page_key IN (SELECT search_page.page_key FROM search_page) THEN 'search_console' END,
        CASE WHEN html_page.page_key IN (SELECT logged_page.page_key FROM logged_page) THEN 'logs' END
    ], source -> source IS NOT NULL) AS sources
FROM html_page
WHERE
    html_page.page_key IN (
        SELECT listed.page_key FROM listed
        UNION ALL
        SELECT search_page.page_key FROM search_page
        UNION ALL
        SELECT logged_page.page_key FROM logged_page
    );

-- Addresses of other sites that pages link to, as far as they were asked for.
CREATE TEMP VIEW external_target AS
SELECT * FROM address
WHERE kind = 'external' AND state <> 'unasked';

-- Those of them that were there, redirected, or said that there is nothing.
CREATE TEMP VIEW external_answer AS
SELECT * FROM external_target
WHERE state IN ('ok', 'redirect', 'client_error');

-- Words of links that say nothing of where they lead, by language.
CREATE TEMP TABLE vague_anchor AS
SELECT
    words.language,
    UNNEST(words.texts) AS text
FROM (
    VALUES
    ('en', [
        'here', 'click here', 'click', 'this', 'this page', 'this link', 'link', 'more', 'read more', 'learn more',
        'see more', 'more info', 'details', 'go'
    ]),
    ('de', [
        'hier', 'hier klicken', 'klicken sie hier', 'klick', 'link', 'mehr', 'mehr lesen', 'weiterlesen',
        'mehr erfahren', 'weiter', 'details'
    ]),
    ('fr', [
        'ici', 'cliquez ici', 'cliquer ici', 'lien', 'plus', 'lire la suite', 'en savoir plus', 'voir plus',
        'suite', 'détails'
    ]),
    ('es', [
        'aquí', 'haga clic aquí', 'haz clic aquí', 'clic aquí', 'enlace', 'más', 'leer más', 'saber más',
        'ver más', 'detalles'
    ]),
    ('it', [
        'qui', 'clicca qui', 'link', 'altro', 'leggi tutto', 'scopri di più', 'leggi di più', 'continua',
        'dettagli'
    ]),
    ('pt', ['aqui', 'clique aqui', 'link', 'mais', 'leia mais', 'saiba mais', 'ver mais', 'detalhes']),
    ('nl', ['hier', 'klik hier', 'link', 'meer', 'lees meer', 'meer lezen', 'verder', 'details']),
    ('sv', ['här', 'klicka här', 'länk', 'mer', 'läs mer', 'se mer', 'detaljer']),
    ('da', ['her', 'klik her', 'link', 'mere', 'læs mere', 'se mere']),
    ('no', ['her', 'klikk her', 'lenke', 'mer', 'les mer', 'se mer']),
    ('fi', ['tästä', 'klikkaa tästä', 'tässä', 'lue lisää', 'lisää']),
    ('pl', ['tutaj', 'kliknij tutaj', 'link', 'więcej', 'czytaj więcej', 'zobacz więcej']),
    ('cs', ['zde', 'klikněte zde', 'odkaz', 'více', 'číst více']),
    ('tr', ['burada', 'buraya tıklayın', 'tıklayın', 'devamı', 'devamını oku', 'daha fazla']),
    ('ru', ['здесь', 'тут', 'нажмите здесь', 'ссылка', 'далее', 'подробнее', 'читать далее', 'ещё']),
    ('ja', ['こちら', 'ここ', 'ここをクリック', 'こちらをクリック', 'もっと見る', '続きを読む', '詳細', '詳しくはこちら']),
    ('zh', ['这里', '點擊這裡', '点击这里', '點此', '点此', '更多', '阅读更多', '了解更多', '詳情', '详情']),
    ('ko', ['여기', '여기를 클릭', '더 보기', '더보기', '자세히', '자세히 보기']),
    ('ar', ['هنا', 'اضغط هنا', 'انقر هنا', 'المزيد', 'اقرأ المزيد', 'التفاصيل'])
) AS words (language, texts);
