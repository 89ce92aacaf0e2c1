"""What an integration test stands on: a private PostgreSQL for the run, a tassis of its own for each test that wants one, free ports, and waiting that awaits
a condition instead of sleeping. Everything lies below one temporary folder and is gone afterwards; two runs side by side do not meet."""
import contextlib, os, pathlib, pwd, random, re, shutil, signal, smtplib, socket, subprocess, sys, tempfile, time

TOP = pathlib.Path(__file__).resolve().parents[2]
PREFIX = pathlib.Path(os.environ.get("TASSIS_PREFIX", TOP / ".check" / "prefix"))
LIBEXEC = PREFIX / "libexec" / "tassis"
TASSIS = PREFIX / "sbin" / "tassis"
SHARE = PREFIX / "share" / "tassis"
AS_ROOT = os.geteuid() == 0
# Sanitizer builds are several times slower; what waits, waits longer.
PATIENCE = float(os.environ.get("TASSIS_TEST_PATIENCE", "20"))
SANITIZED = b"__asan_init" in (LIBEXEC / "smtpd").read_bytes() if (LIBEXEC / "smtpd").exists() else False
SANITIZER_REPORT = re.compile(r"ERROR: AddressSanitizer|runtime error:|LeakSanitizer|WARNING: ThreadSanitizer")


def wait_for(condition, seconds=None, what=None):
    """Calls condition until it gives something true, and returns that. A test that waits in vain says for what."""
    end = time.monotonic() + (seconds or PATIENCE)
    while True:
        if result := condition():
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for {what or condition.__doc__ or condition}")
        time.sleep(0.02)


def free_port(address="127.0.0.1"):
    """A port below those that the kernel gives to clients, so that none of them has it when the daemon comes to bind it."""
    while True:
        port = random.randrange(12000, 32000)
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as s:
            s.bind((address, port))
            return port


def run(*command, check=True, **more):
    if "input" not in more:
        more.setdefault("stdin", subprocess.DEVNULL)
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def temporary_folder():
    """Readable by the daemons' accounts, which pytest's own tmp_path is not."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tassis-t."))
    folder.chmod(0o755)
    return folder


class Cluster:
    """The run's PostgreSQL: made by the same script as the private cluster of a small host."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.script = LIBEXEC / "cluster"
        run(self.script, "create", self.folder)
        self.n = 0
        self.start()

    def start(self):
        run(self.script, "start", self.folder)

    def stop(self):
        run(self.script, "stop", self.folder, check=False)

    @property
    def socket_folder(self):
        return run(self.script, "socket", self.folder).stdout.strip()

    def connection(self, database, role):
        return f"host={self.socket_folder} dbname={database} user={role}"

    def new_database(self):
        """The name of an empty database that the schema's owner owns."""
        self.n += 1
        name = f"tassis_{os.getpid()}_{self.n}"
        run(self.script, "database", self.folder, name)
        return name


class Tassis:
    """One installed tassis with a main.conf, spool and Maildirs of its own, on free ports."""

    def __init__(self, cluster, folder=None, sample=True, settings=None, hostname="mx.test.com", zone=None, address="127.0.0.1", database=None):
        self.folder = pathlib.Path(folder or temporary_folder())
        self.cluster, self.hostname, self.address = cluster, hostname, address
        self.spool, self.mail, self.log = self.folder / "spool", self.folder / "mail", self.folder / "log" / "tassis.log"
        (self.folder / "log").mkdir()
        self.main_conf = self.folder / "main.conf"
        self.smtp_port, self.submission_port, self.smtps_port = free_port(address), free_port(address), free_port(address)
        self.database = database or cluster.new_database()
        self.dns = None
        self.zone = self.folder / "zone"
        self.zone.write_text(zone or "")
        self.settings = {
            "hostname": hostname,
            "listen": [f"{self._at(self.smtp_port)} smtp starttls", f"{self._at(self.submission_port)} submission required", f"{self._at(self.smtps_port)} submission implicit"],
            "spool_dir": self.spool,
            "mail_dir": self.mail,
            "state_dir": self.folder / "state",
            "aliases_file": self.folder / "aliases",
            "log_to": "file",
            "log_file": self.log,
            "log_level": "debug",
            "database": cluster.connection(self.database, "tassis_lookup"),
            "database_admin": cluster.connection(self.database, "tassis"),
            "smtp_workers": 1,
            "remote_workers": 1,
            # A wrong login is refused at once, except where that is what the test is about.
            "auth_failure_wait": "0s",
            # A leak checker reads /proc of its process, which a chroot has not.
            **({"accounts": "caller"} if SANITIZED else {}),
            **(settings or {}),
        }
        self.start_dns()
        self.write_conf()
        if database is None:
            self.tassis("schema", "upgrade")
            if sample:
                self.sql_file(SHARE / "schema" / "sample.sql")
        self.master = None
        self.under = []  # a command that master is started by

    def _at(self, port):
        return f"[{self.address}]:{port}" if ":" in self.address else f"{self.address}:{port}"

    # -- configuration

    def write_conf(self, **changes):
        self.settings.update(changes)
        lines = []
        for name, value in self.settings.items():
            for one in value if isinstance(value, list) else [value]:
                if one is not None:
                    lines.append(f"{name} = {'yes' if one is True else 'no' if one is False else one}\n")
        self.main_conf.write_text("".join(lines))
        self.main_conf.chmod(0o640)

    def start_dns(self):
        self.dns = subprocess.Popen([TOP / "t/tools/dns-server", self.zone, "127.0.0.1:0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        _, address, port = self.dns.stdout.readline().split()
        self.dns_port = int(port)
        self.settings["dns_servers"] = f"{address}:{port}"

    def set_zone(self, *lines):
        self.zone.write_text("".join(line + "\n" for line in lines))

    # -- life

    def environment(self):
        return {**os.environ, "MAIN_CONF": str(self.main_conf), "PATH": f"{PREFIX}/sbin:{PREFIX}/bin:" + os.environ["PATH"]}

    def tassis(self, *words, check=True, **more):
        return run(TASSIS, "-c", self.main_conf, *words, check=check, env=self.environment(), **more)

    def start(self):
        """Starts the daemons under master, in the foreground of a process of ours; returns when all are ready."""
        master_out = open(self.folder / "log" / "master.out", "a")
        self.master = subprocess.Popen([*self.under, LIBEXEC / "master", "-c", self.main_conf, "-f"], stdin=subprocess.DEVNULL, stdout=master_out, stderr=master_out, env=self.environment())
        master_out.close()

        def ready():
            if self.master.poll() is not None:
                raise AssertionError(f"master ended with {self.master.returncode}:\n" + (self.folder / "log/master.out").read_text() + self.log_tail())
            return " runs: " in self.tassis("status", check=False).stdout

        wait_for(ready, PATIENCE * 2, "tassis status to say that all is ready\n" + self.log_tail())
        return self

    def stop(self, check=True):
        if self.master is None:
            return
        if self.master.poll() is None:
            self.master.send_signal(signal.SIGTERM)
            try:
                self.master.wait(PATIENCE * 3)
            except subprocess.TimeoutExpired:
                self.master.kill()
                raise AssertionError("tassis did not stop:\n" + self.log_tail())
        status, self.master = self.master.returncode, None
        assert not check or status == 0, f"master ended with {status}\n" + self.log_tail()

    def reload(self, **changes):
        self.write_conf(**changes)
        return self.tassis("reload", check=False)

    def end(self):
        """Stops everything and removes the folder. What a sanitizer found in the meantime fails the test."""
        with contextlib.suppress(AssertionError):
            self.stop(check=False)
        self.kill_all()
        if self.dns:
            self.dns.stdin.close()
            self.dns.wait()
            self.dns.stdout.close()
        found = self.sanitizer_reports()
        shutil.rmtree(self.folder, ignore_errors=True)
        assert not found, found

    def sanitizer_reports(self):
        """What a sanitizer wrote to the standard error of a daemon: master's until the daemon is ready, the log's file from then on."""
        found = ""
        for path in {self.folder / "log" / "master.out", self.log}:
            if path.is_file() and (match := SANITIZER_REPORT.search(text := path.read_text(errors="replace"))):
                found += f"{path.name}:\n" + text[text.rfind("\n", 0, match.start()) + 1 :][:10000]
        return found

    def processes(self, name=None):
        """pid -> program name of every process that this instance's master started, however it ended up."""
        found, parent = {}, {}
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError, IndexError):
                    stat = (entry / "stat").read_text()
                    parent[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
                    found[int(entry.name)] = os.path.basename((entry / "cmdline").read_bytes().split(b"\0")[0].decode())
        root = self.master.pid if self.master else -1
        return {p: n for p, n in found.items() if parent.get(p) == root and (name is None or n == name)}

    def kill(self, name, how=signal.SIGKILL):
        pids = self.processes(name)
        assert pids, f"no process {name}"
        for pid in pids:
            os.kill(pid, how)
        return pids

    def kill_all(self):
        """Like a power cut for the processes: master and all of them at once."""
        victims = list(self.processes()) if self.master else []
        if self.master:
            victims.insert(0, self.master.pid)
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.master:
            self.master.wait()
            self.master = None

    # -- the log

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.is_file() else ""

    def log_tail(self, n=60):
        return "\n".join(self.log_text().split("\n")[-n:])

    def wait_log(self, pattern, seconds=None, since=0):
        return wait_for(lambda: re.search(pattern, self.log_text()[since:]), seconds, f"{pattern!r} in the log\n" + self.log_tail())

    # -- the database

    def sql(self, query, *arguments, role="tassis"):
        import psycopg2

        with contextlib.closing(psycopg2.connect(self.cluster.connection(self.database, role))) as connection:
            with connection, connection.cursor() as cursor:
                cursor.execute(query, arguments)
                return cursor.fetchall() if cursor.description else None

    def sql_file(self, path):
        self.sql(pathlib.Path(path).read_text().replace("%", "%%"))

    # -- mail

    def smtp(self, port=None, **more):
        return smtplib.SMTP(self.address, port or self.smtp_port, timeout=PATIENCE, **more)

    def send(self, to="test@test.com", sender="ann@example.org", text="Hello\r\n", subject="a test", **headers):
        """One message over port 25; returns the id out of the reply."""
        to = [to] if isinstance(to, str) else to
        with self.smtp() as client:
            client.ehlo("client.example.org")
            code, reply = client.mail(sender)
            assert code == 250, reply
            for one in to:
                code, reply = client.rcpt(one)
                assert code == 250, (one, code, reply)
            head = "".join(f"{k}: {v}\r\n" for k, v in {"From": sender or "<>", "To": ", ".join(to), "Subject": subject, **headers}.items())
            code, reply = client.data(head + "\r\n" + text)
            assert code == 250, (code, reply)
            return reply.decode().split()[-1]

    def maildir(self, user="test@test.com"):
        local, _, domain = user.partition("@")
        return self.mail / domain / local

    def messages(self, user="test@test.com", folder=""):
        """The octets of each message in the user's mailbox, new and read."""
        base = self.maildir(user) / folder if folder else self.maildir(user)
        found = []
        for sub in ("new", "cur"):
            if (base / sub).is_dir():
                for path in sorted((base / sub).iterdir()):
                    with contextlib.suppress(FileNotFoundError):
                        found.append(path.read_bytes())
        return found

    def wait_message(self, text, user="test@test.com", seconds=None):
        text = text.encode() if isinstance(text, str) else text
        return wait_for(lambda: next((m for m in self.messages(user) if text in m), None), seconds, f"{text!r} in {user}'s Maildir\n" + self.log_tail())

    def spool_files(self):
        return [p for d in ("incoming", "queue") for p in (self.spool / d).glob("*/*") if p.is_file()]

    def wait_queue_empty(self, seconds=None):
        wait_for(lambda: not self.spool_files(), seconds, "an empty spool\n" + self.log_tail())


def as_nobody(command, **more):
    """Runs a command as an ordinary user."""
    if not AS_ROOT:
        return run(*command, **more)
    nobody = pwd.getpwnam("nobody")
    return run(*command, user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], **more)
