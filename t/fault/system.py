"""A whole tassis under the injector: messages that go every way at once, and what became of each."""
import contextlib, os, shutil, smtplib, ssl

import harness, injector
from far_end import FarEnd

PROGRAMS = ["smtpd", "queued", "deliverd-local", "deliverd-remote", "lookupd", "resolvd"]
QUICK = {"queue_retry_min": "1s", "queue_retry_max": "1s", "delivery_greeting_timeout": "5s", "delivery_mail_timeout": "5s", "delivery_rcpt_timeout": "5s", "delivery_data_timeout": "5s", "delivery_connect_timeout": "5s", "dns_timeout": "2s", "log_level": "info", "local_workers": 1,
         "lookup_workers": 1}
ANY_CERTIFICATE = ssl.create_default_context()
ANY_CERTIFICATE.check_hostname, ANY_CERTIFICATE.verify_mode = False, ssl.CERT_NONE


class Faulty(harness.Tassis):
    """Its daemons run with what is in preload."""

    preload = {}

    def environment(self):
        return {**super().environment(), **self.preload}

    def crash(self):
        """All processes die at once, and it starts again."""
        self.kill_all()
        self.start()


class Ways:
    """Sends messages to a mailbox here, to a far end that takes them, to one that refuses for good (a bounce) and to one that takes them at the second attempt."""

    def __init__(self, tassis, far, deferral):
        self.tassis, self.far, self.deferral = tassis, far, deferral
        self.n, self.acknowledged, self.refused, self.read = 0, [], [], {}
        far.replies["RCPT eve@far.test"] = "550 5.1.1 no Eve here"

    def send(self):
        """One message. Gives its mark, and whether it was acknowledged; what was refused for good is remembered."""
        self.n += 1
        mark = f"mark-{self.n:05d}-end"
        to = ["test@test.com", "bob@far.test", "eve@far.test"]
        if self.deferral:
            to.append(f"dan-{self.n}@far.test")
            self.far.replies[f"RCPT {to[-1]}"] = ["450 4.2.0 later", "250 2.1.5 ok"]
        try:
            with smtplib.SMTP(self.tassis.address, self.tassis.submission_port, timeout=10) as client:
                client.starttls(context=ANY_CERTIFICATE)
                client.login("test@test.com", "1111")
                client.sendmail("test@test.com", to, f"Subject: {mark}\r\n\r\n{'x' * 70}\r\n{mark}\r\n")
                self.acknowledged.append(mark)
                return mark, True
        except smtplib.SMTPRecipientsRefused as e:
            self.refused += [(mark, r) for r in e.recipients.values() if r[0] >= 500]
        except smtplib.SMTPResponseException as e:
            self.refused += [(mark, e)] if e.smtp_code >= 500 else []
        except (OSError, smtplib.SMTPException):
            pass
        return mark, False

    def _mailbox(self):
        """name -> octets; a file is read once."""
        here = {}
        for folder in ("new", "cur"):
            with contextlib.suppress(FileNotFoundError):
                for entry in os.scandir(self.tassis.maildir() / folder):
                    if entry.name not in self.read or self.read[entry.name][0] != entry.stat().st_ino:
                        with open(entry.path, "rb") as f:
                            self.read[entry.name] = (entry.stat().st_ino, f.read())
                    here[entry.name] = self.read[entry.name][1]
        return here

    def copies(self):
        """(way, mark) -> how many came, whole."""
        found = {}

        def count(way, octets, ends):
            mark = octets.partition(b"mark-")[2][:5].decode()
            if mark.isdigit() and ends:
                key = (way, f"mark-{mark}-end")
                found[key] = found.get(key, 0) + 1

        for octets in self._mailbox().values():
            if b"multipart/report" in octets:
                count("bounce", octets, b"no Eve here" in octets and octets.rstrip().endswith(b"--"))
            else:
                count("local", octets, octets.endswith(b"-end\n"))
        for _, forward, octets, _ in list(self.far.messages):
            for path in forward:
                count(path.partition("@")[0].partition("-")[0], octets, octets.endswith(b"-end\r\n"))
        return found

    def missing(self, marks=None):
        ways = ("local", "bob", "bounce") + (("dan",) if self.deferral else ())
        found = self.copies()
        return [(way, mark) for mark in (self.acknowledged if marks is None else marks) for way in ways if (way, mark) not in found]

    def wait(self, marks=None, seconds=90):
        harness.wait_for(lambda: not self.missing(marks), seconds, f"what was acknowledged to arrive: {self.missing(marks)[:6]} is missing\n" + self.tassis.log_tail(100))

    def duplicates(self):
        """way -> how many came once more."""
        found = {}
        for (way, _), n in self.copies().items():
            if n > 1:
                found[way] = found.get(way, 0) + n - 1
        return found


@contextlib.contextmanager
def running(cluster, deferral=False, preload=None, **settings):
    """A tassis (started) and its ways."""
    with FarEnd() as far:
        tassis = Faulty(cluster, zone="far.test MX 10 mx.far.test\nmx.far.test A 127.0.0.1\n", settings={"delivery_port": far.port, **QUICK, **settings})
        try:
            tassis.preload = preload or {}
            yield tassis.start(), Ways(tassis, far, deferral)
        finally:
            tassis.end()
