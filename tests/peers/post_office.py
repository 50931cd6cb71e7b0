"""Postfix with Dovecot in the jail: submission with STARTTLS and a login, maildirs behind LMTP, IMAP over TLS.

Nothing leaves the machine: what is for no domain below is bounced.

| recipient | what becomes of the mail |
|---|---|
| somebody of `PEOPLE` | delivered |
| anybody else at example.com | refused at RCPT: 550 5.1.1 |
| full@example.com | bounced: its mailbox is over quota |
| anybody at late.example.com | taken, then bounced: no such user |
| anybody at down.example.com | taken, delayed, given up: nobody listens there |
| anybody at policy.example.com | taken, then bounced: 5.7.1 |
"""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from jail import Jail, wait_for
from test_notify import free_port

from caravan.core.connections import Connection

PEOPLE = ("anna", "ben", "full", "news")
"""All at example.com; `news` sends, and reads what bounces."""
PASSWORD = "pass word+1"
_MAIN = """\
compatibility_level = 3.6
myhostname = mail.example.com
mydestination =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
maillog_file = /srv/postfix/log
maillog_file_prefixes = /srv
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
default_transport = error:5.1.2 nothing leaves this machine
virtual_mailbox_domains = example.com
virtual_mailbox_maps = texthash:/etc/postfix/people
virtual_transport = lmtp:unix:private/dovecot-lmtp
virtual_mailbox_base = /srv/mail
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
relay_domains = late.example.com, down.example.com, policy.example.com
transport_maps = texthash:/etc/postfix/transport
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_tls_chain_files = /srv/tls/key.pem, /srv/tls/server.pem
maximal_queue_lifetime = 4s
bounce_queue_lifetime = 4s
delay_warning_time = 1s
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
"""
# Dovecot 2.3 takes no mail that needs SMTPUTF8, as bounces of such mail do: Postfix puts those into the box itself.
_TRANSPORT = """\
news@example.com virtual:
late.example.com lmtp:unix:private/dovecot-lmtp
down.example.com smtp:[127.0.0.1]:{closed}
policy.example.com smtp:[127.0.0.1]:{strict}
"""
_DOVECOT = """\
protocols = imap lmtp
listen = 127.0.0.1
base_dir = /srv/dovecot/run
state_dir = /srv/dovecot/state
auth_failure_delay = 0
log_path = /srv/dovecot/log
first_valid_uid = 1
ssl = required
ssl_cert = </srv/tls/server.pem
ssl_key = </srv/tls/key.pem
mail_location = maildir:/srv/mail/%n
mail_plugins = quota
plugin {{
  quota = maildir:Mailbox
}}
passdb {{
  driver = passwd-file
  args = scheme=plain username_format=%u /etc/dovecot/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%u /etc/dovecot/users
  default_fields = uid=vmail gid=vmail home=/srv/mail/%n
}}
service auth {{
  unix_listener /var/spool/postfix/private/auth {{
    mode = 0600
    user = postfix
  }}
}}
service lmtp {{
  unix_listener /var/spool/postfix/private/dovecot-lmtp {{
    mode = 0600
    user = postfix
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
"""


@dataclass
class PostOffice:
    """`authority`: the certificate that the servers' own is signed by."""

    jail: Jail
    submission: int
    imaps: int

    @property
    def authority(self) -> Path:
        return self.jail.path("/srv/tls/authority.pem")

    def smtp(self) -> Connection:
        extra = {"disable_ssl": True}  # but not TLS: STARTTLS
        return Connection(
            "smtp_letter", "smtp", "127.0.0.1", self.submission, "news@example.com", PASSWORD, extra=extra
        )

    def imap(self) -> Connection:
        return Connection("imap_letter", "imap", "127.0.0.1", self.imaps, "news@example.com", PASSWORD)

    def empty(self) -> None:
        """No mail in any box, none on its way."""
        wait_for(lambda: "queue is empty" in self.jail.run("postqueue", "-p"), "the queue runs empty", 60)
        for name in PEOPLE:
            for path in self.files(name):
                path.unlink()

    def files(self, name: str) -> list[Path]:
        """In the maildir, seen or not."""
        box = self.jail.path(f"/srv/mail/{name}")
        return sorted([*box.glob("new/*"), *box.glob("cur/*")])

    def mails(self, name: str, count: int = 1) -> list[EmailMessage]:
        """When there are so many."""
        files = wait_for(lambda: self._at_least(name, count), f"{count} mails for {name}; see /srv/postfix/log")
        read = [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in files]
        return [mail for mail in read if isinstance(mail, EmailMessage)]

    def _at_least(self, name: str, count: int) -> list[Path]:
        files = self.files(name)
        return files if len(files) >= count else []


def start(jail: Jail) -> PostOffice:
    office, strict = PostOffice(jail, free_port(), free_port()), free_port()
    _make_certificates(jail)
    jail.fresh("/srv/mail", "vmail")
    jail.fresh("/srv/dovecot")
    quotas = {"full": "userdb_quota_rule=*:bytes=100"}
    users = [f"{name}@example.com:{PASSWORD}::::::{quotas.get(name, '')}\n" for name in PEOPLE]
    jail.write("/etc/dovecot/users", "".join(users))
    jail.write("/etc/dovecot/dovecot.conf", _DOVECOT.format(imaps=office.imaps))
    jail.fresh("/srv/postfix")
    jail.fresh("/var/spool/postfix")
    jail.fresh("/var/lib/postfix", "postfix")
    jail.write("/etc/postfix/master.cf", _services(jail, office.submission, strict))
    jail.write("/etc/postfix/main.cf", _MAIN.format(uid=jail.path("/srv/mail").stat().st_uid))
    jail.write("/etc/postfix/people", "".join(f"{name}@example.com {name}/\n" for name in PEOPLE))
    jail.write("/etc/postfix/transport", _TRANSPORT.format(closed=free_port(), strict=strict))
    jail.run("postfix", "check")
    jail.start("dovecot", "-F", log="/srv/dovecot/log")
    jail.start("postfix", "start-fg", log="/srv/postfix/log")
    for name in ("auth", "dovecot-lmtp", "bounce"):
        wait_for(jail.path(f"/var/spool/postfix/private/{name}").exists, f"the mail servers start: {name}")
    return office


def _services(jail: Jail, port: int, strict: int) -> str:
    """Postfix's own list, without a folder for each to be shut in. `strict`: port of a server that takes nothing."""
    lines = jail.path("/usr/share/postfix/master.cf.dist").read_text().splitlines()
    usual = [line.split() for line in lines if re.match(r"[a-z]", line) and "pipe" not in line]
    kept = [[*each[:4], "n", *each[5:]] for each in usual if each[1] != "inet"]
    takes_none = "-o smtpd_tls_security_level=none -o smtpd_sasl_auth_enable=no -o smtpd_relay_restrictions=reject"
    doors = [f"127.0.0.1:{port} inet n - n - - smtpd", f"127.0.0.1:{strict} inet n - n - - smtpd {takes_none}"]
    return "\n".join([*doors, *(" ".join(each) for each in kept)]) + "\n"


def _make_certificates(jail: Jail) -> None:
    """An authority of our own, and what it signed for 127.0.0.1."""
    jail.fresh("/srv/tls")
    new = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-config", "/dev/null")
    ours = ("-subj", "/CN=Caravan's tests", "-keyout", "/srv/tls/authority.key", "-out", "/srv/tls/authority.pem")
    jail.run(*new, *ours, "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign")
    signed = ("-CA", "/srv/tls/authority.pem", "-CAkey", "/srv/tls/authority.key", "-subj", "/CN=mail.example.com")
    extra = ("-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE")
    jail.run(*new, *signed, *extra, "-keyout", "/srv/tls/key.pem", "-out", "/srv/tls/server.pem")
