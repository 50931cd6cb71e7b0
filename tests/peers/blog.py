"""WordPress with MariaDB in the jail, served by PHP's own server."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from typing import Any

from jail import Jail, wait_for
from test_notify import free_port

_EXTENSIONS = "mysqlnd mysqli gd mbstring exif fileinfo dom simplexml xml xmlreader ctype tokenizer iconv"
_CONTENT = "/var/lib/wordpress/wp-content"
_CONFIG = """<?php
define('DB_HOST', 'localhost:/srv/mysql/socket');
define('DB_USER', 'root');
define('DB_PASSWORD', '');
define('DB_CHARSET', 'utf8mb4');
// Application passwords are for https alone, else.
define('WP_ENVIRONMENT_TYPE', 'local');
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('DISABLE_WP_CRON', true);
define('AUTH_KEY', 'a'); define('SECURE_AUTH_KEY', 'b'); define('LOGGED_IN_KEY', 'c'); define('NONCE_KEY', 'd');
define('AUTH_SALT', 'e'); define('SECURE_AUTH_SALT', 'f'); define('LOGGED_IN_SALT', 'g'); define('NONCE_SALT', 'h');
"""
# What a web server does with WordPress's .htaccess: files as they are, all else to index.php.
_ROUTER = """<?php
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if (str_starts_with($path, '/wp-content/uploads/')) {
    $file = '/var/lib/wordpress' . $path;
    if (!is_file($file)) { http_response_code(404); exit; }
    header('Content-Type: ' . mime_content_type($file));
    readfile($file);
    exit;
}
if ($path !== '/' && is_file('/usr/share/wordpress' . $path)) return false;
$_SERVER['SCRIPT_NAME'] = $_SERVER['PHP_SELF'] = '/index.php';
$_SERVER['SCRIPT_FILENAME'] = '/usr/share/wordpress/index.php';
require '/usr/share/wordpress/index.php';
"""
# WordPress's own functions, as its pages for installing and for users call them.
_SET_UP = """<?php
$_SERVER['HTTP_HOST'] = '127.0.0.1:' . $argv[1];
define('WP_INSTALLING', true);
require '/usr/share/wordpress/wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';
wp_install('Teapots', 'admin', 'admin@example.com', false, '', 'a long password');
update_option('siteurl', 'http://' . $_SERVER['HTTP_HOST']);
update_option('home', 'http://' . $_SERVER['HTTP_HOST']);
wp_insert_term('News', 'category', ['slug' => 'news']);
$passwords = [];
foreach (['administrator', 'editor', 'author', 'contributor', 'subscriber'] as $role) {
    $id = wp_insert_user(['user_login' => $role, 'user_pass' => 'another', 'role' => $role]);
    $passwords[$role] = WP_Application_Passwords::create_new_application_password($id, ['name' => 'Caravan'])[0];
}
echo json_encode($passwords);
"""
_PERMALINKS = """<?php
$_SERVER['HTTP_HOST'] = '127.0.0.1';
require '/usr/share/wordpress/wp-load.php';
$wp_rewrite->set_permalink_structure($argv[1] ?? '');
$wp_rewrite->flush_rules();
"""


@dataclass
class Blog:
    """`passwords`: application passwords, by role; the users are called like their roles."""

    jail: Jail
    url: str
    passwords: dict[str, str]

    def sql(self, text: str) -> list[list[str]]:
        printed = self.jail.run("mariadb", "--socket=/srv/mysql/socket", "-BN", "wordpress", given=text.encode())
        return [line.split("\t") for line in printed.splitlines()]

    def empty(self) -> None:
        """No post and no image; the next has the number 101."""
        self.sql(
            "DELETE FROM wp_posts; DELETE FROM wp_postmeta; DELETE FROM wp_term_relationships;"
            "ALTER TABLE wp_posts AUTO_INCREMENT = 101"
        )

    def permalinks(self, structure: str = "/%postname%/") -> None:
        """Nothing: addresses with a question mark, and no `/wp-json`."""
        self.jail.run("php8.2", "/srv/blog/permalinks.php", structure, user="www-data")

    def add_plugin(self, name: str, code: str) -> None:
        self.jail.write(f"{_CONTENT}/mu-plugins/{name}.php", f"<?php\n{code}\n")

    def remove_plugins(self) -> None:
        self.jail.fresh(f"{_CONTENT}/mu-plugins", "www-data")

    def public(self) -> list[dict[str, Any]]:
        """Posts that anybody can see, as the site tells of them."""
        found: list[dict[str, Any]] = json.loads(self.page("/index.php?rest_route=/wp/v2/posts"))
        return found

    def page(self, path: str = "/") -> str:
        """As anybody sees it."""
        return self.read(self.url + path).decode()

    def read(self, url: str) -> bytes:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return bytes(answer.read())


def start(jail: Jail) -> Blog:
    port = free_port()
    lines = [
        "display_errors=0",
        "memory_limit=256M",
        "sendmail_path=/bin/true",
        "zend_extension=opcache.so",
        "opcache.enable_cli=1",
    ]
    lines += [f"extension={name}.so" for name in _EXTENSIONS.split()]
    jail.write("/etc/php/8.2/cli/conf.d/peers.ini", "\n".join(lines))
    jail.write("/etc/wordpress/config-default.php", _CONFIG)
    jail.fresh("/srv/blog")
    for name, text in (("router", _ROUTER), ("set_up", _SET_UP), ("permalinks", _PERMALINKS)):
        jail.write(f"/srv/blog/{name}.php", text)
    jail.fresh(f"{_CONTENT}/uploads", "www-data")
    jail.fresh(f"{_CONTENT}/mu-plugins", "www-data")
    _start_database(jail)
    passwords: dict[str, Any] = json.loads(jail.run("php8.2", "/srv/blog/set_up.php", str(port), user="www-data"))
    blog = Blog(jail, f"http://127.0.0.1:{port}", passwords)
    blog.permalinks()
    command = ("php8.2", "-S", f"127.0.0.1:{port}", "-t", "/usr/share/wordpress", "/srv/blog/router.php")
    jail.start(*command, user="www-data", log="/srv/blog/log", PHP_CLI_SERVER_WORKERS="3")
    wait_for(blog.page, "WordPress answers")
    return blog


def _start_database(jail: Jail) -> None:
    jail.fresh("/srv/mysql", "mysql")
    options = ("--no-defaults", "--user=mysql", "--datadir=/srv/mysql")
    jail.run("mariadb-install-db", *options, "--auth-root-authentication-method=normal", "--skip-test-db")
    options += ("--socket=/srv/mysql/socket", "--skip-networking", "--innodb-flush-log-at-trx-commit=0")
    jail.start("mariadbd", *options, log="/srv/mysql/log")
    wait_for(jail.path("/srv/mysql/socket").exists, "MariaDB starts")
    jail.run("mariadb", "--socket=/srv/mysql/socket", "-e", "CREATE DATABASE wordpress CHARACTER SET utf8mb4")
