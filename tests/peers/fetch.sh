#!/bin/sh
# Usage: fetch.sh DIR. Puts a small Debian 12 with WordPress, MariaDB, Postfix and Dovecot into DIR/root, for the tests
# here to run in it by chroot. Nothing of the machine is touched: apt only downloads, with lists and a cache in DIR, and
# no package's own script runs, so that nothing is installed, started or configured. About 80 MB to download, 400 on disk.
set -eu
[ $# = 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
[ ! "$dir/versions" -nt "$0" ] || exit 0
[ "$(id -u)" = 0 ] || { echo "$0: only root can make what chroot needs" >&2; exit 1; }

suite=bookworm
peers="wordpress wordpress-theme-twentytwentythree php-cli php-mysql php-gd php-mbstring php-xml mariadb-server
 postfix libsasl2-modules dovecot-imapd dovecot-lmtpd openssl"
tools="dash coreutils diffutils sed grep gawk findutils hostname perl-base libc-bin base-files base-passwd netbase tzdata"

echo "Downloading Debian $suite's packages"
rm -rf "$dir/root" "$dir/versions"
mkdir -p "$dir/lists/partial" "$dir/debs/partial" "$dir/root"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
cat >"$dir/sources.list" <<END
deb [signed-by=$keyring] http://deb.debian.org/debian $suite main
deb [signed-by=$keyring] http://deb.debian.org/debian-security $suite-security main
END
: >"$dir/status"
apt() {
    apt-get -q -y --no-install-recommends -o Dir::State::lists="$dir/lists" -o Dir::State::status="$dir/status" \
        -o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=- -o Dir::Cache="$dir" \
        -o Dir::Cache::archives="$dir/debs" -o Debug::NoLocking=1 -o APT::Sandbox::User=root "$@"
}
apt update
# shellcheck disable=SC2086
apt --download-only install $peers $tools

echo "Unpacking into $dir/root"
cd "$dir/root"
mkdir -p usr/bin usr/sbin usr/lib usr/lib64 dev etc run tmp srv var/tmp
ln -s usr/bin usr/sbin usr/lib usr/lib64 .
chmod 1777 tmp var/tmp
for deb in "$dir"/debs/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink
done
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/urandom c 1 9
ln -s urandom dev/random
printf '127.0.0.1 localhost\n' >etc/hosts
printf 'passwd: files\ngroup: files\nhosts: files\n' >etc/nsswitch.conf
sed 's/:\*:/:x:/' usr/share/base-passwd/passwd.master >etc/passwd
sed 's/:\*:/:x:/' usr/share/base-passwd/group.master >etc/group
id=200
for user in mysql postfix dovecot dovenull vmail; do
    id=$((id + 1))
    echo "$user:x:$id:$id::/nonexistent:/usr/sbin/nologin" >>etc/passwd
    echo "$user:x:$id:" >>etc/group
done
echo "postdrop:x:299:" >>etc/group
chgrp 299 usr/sbin/postdrop usr/sbin/postqueue
chmod 2755 usr/sbin/postdrop usr/sbin/postqueue
chroot . ldconfig

for name in wordpress mariadb-server postfix dovecot-core php8.2-cli; do
    dpkg-deb -W --showformat='${Package} ${Version}\n' "$dir/debs/${name}"_*.deb
done >"$dir/versions.new"
rm -rf "$dir/debs" "$dir/lists" "$dir"/*.bin
mv "$dir/versions.new" "$dir/versions"
cat "$dir/versions"
