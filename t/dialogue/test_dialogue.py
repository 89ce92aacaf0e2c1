"""Golden dialogues, one a file: AREA/what_it_shows.smtp, both sides of a session with a real smtpd whose peers are played by stage.c.

  # what it shows                    ? OPTION        the stage: smtp starttls (KIND TLS), relay, queued=away, NAME = VALUE …
  I: 250          a reply of any text and number of lines
  S: 250 2.1.0 …  a line of ours     C: EHLO x       a line of the client's; lines that follow each other are sent at once
  R: a\\n.\\r\\n     octets as they are   T:              the client begins TLS     E:   we close the connection
  N: a new connection                X: the client closes, H: its sending side alone         W: 0.2  a pause, seconds
  ! stop          smtpd is told to   Q: 1            so many committed messages lie in the spool
  M: a line of the last message      L: regex        a line of the log, waited for
  V: spam yes     a record of the last message's envelope; V: !user …  there is none so
  D:              the spool's folder is taken away        O: 421 …    what another client is told beside this one

%ID%, %DATE% and %PORT% stand for what changes, %TLS% for version and cipher, %X*10% for ten X."""
import os, pathlib, re, shutil, socket, ssl, subprocess, sys, tempfile, time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
BUILD = pathlib.Path(os.environ.get("TASSIS_BUILD", TOP / ".check" / "gcc" / "build"))
PATIENCE = float(os.environ.get("TASSIS_TEST_PATIENCE", "20"))
SETTINGS = {"hostname": "mx.test.com", "message_size_max": "64k", "smtp_lookup_timeout": "500ms"}
PLACES = {"%ID%": "[0-9a-z]{22}", "%DATE%": r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d{4} [\d:]{8} [+-]\d{4}", "%PORT%": r"\d+", "%TLS%": r"TLSv1\.[23]:[A-Z0-9_-]+:\d+"}


def expanded(text):
    return re.sub(r"%(.)\*(\d+)%", lambda m: m[1] * int(m[2]), text)


def pattern(line):
    parts = re.split("(" + "|".join(map(re.escape, PLACES)) + ")", expanded(line))
    return "".join(PLACES.get(p) or re.escape(p) for p in parts)


def raw(text):
    return re.sub(rb"\\(r|n|0|\\|x[0-9a-f]{2})", lambda m: {b"r": b"\r", b"n": b"\n", b"0": b"\0", b"\\": b"\\"}.get(m[1]) or bytes([int(m[1][1:], 16)]), expanded(text).encode())


class Stage:
    def __init__(self, options):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tassis-d."))
        (self.folder / "incoming").mkdir()
        kind = next((o.split() for o in options if o.split()[0] in ("smtp", "submission")), ["smtp", "starttls"])
        rest = [o for o in options if o.split()[0] not in ("smtp", "submission")]
        rest += [f"{n} = {v}" for n, v in SETTINGS.items() if not any(o.startswith(n + " = ") for o in rest)]
        self.process = subprocess.Popen([BUILD / "t/dialogue/stage", BUILD / "libexec/smtpd", self.folder, *kind, *rest], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        word = self.process.stdout.readline().split()
        assert word[:1] == ["ready"], self.log()
        self.port = int(word[1])

    def log(self):
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else "(no log)"

    def tell(self, words):
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()

    def committed(self):
        return [p for p in sorted((self.folder / "incoming").iterdir()) if p.read_bytes().startswith(b"tassis-spool 1\n")]

    def content(self):
        whole = self.committed()[-1].read_bytes()
        extents = re.findall(rb"^extent (\d+) (\d+)$", whole[:512], re.M)
        return b"".join(whole[int(o) : int(o) + int(n)] for o, n in extents)

    def envelope(self):
        whole = self.committed()[-1].read_bytes()
        offset, length = map(int, re.search(rb"^envelope (\d+) (\d+) ", whole[:512], re.M).groups())
        return whole[offset : offset + length].decode().split("\n")

    def end(self):
        self.process.stdin.close()
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self.process.stdout.close()
        log = self.log()
        shutil.rmtree(self.folder)
        assert status == 0 and " ERROR" not in log and "Sanitizer" not in log, log


class Dialogue:
    def __init__(self, path):
        self.steps = [line for line in path.read_text().split("\n") if line and not line.startswith(("#", "?"))]
        self.stage = Stage([line[2:] for line in path.read_text().split("\n") if line.startswith("? ")])
        self.connect()

    def connect(self):
        self.socket = socket.create_connection(("127.0.0.1", self.stage.port), timeout=PATIENCE)
        self.received = b""

    def line(self):
        while b"\n" not in self.received:
            if not (more := self.socket.recv(65536)):
                break
            self.received += more
        line, lf, self.received = self.received.partition(b"\n")
        return line + lf

    def expect(self, wanted):
        got = self.line()
        assert re.fullmatch(pattern(wanted), got.decode(errors="replace").removesuffix("\r\n")), f"wanted {wanted!r}, got {got!r}"
        assert got.endswith(b"\r\n")

    def expect_any(self, code):
        while (got := self.line().decode()).startswith(code + "-"):
            pass
        assert got.startswith(code + " "), got

    def expect_end(self, _):
        try:
            assert self.line() == b""
        except ConnectionResetError:
            pass

    def start_tls(self, _):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        assert self.received == b"", self.received
        self.socket = context.wrap_socket(self.socket, server_hostname="mx.test.com")

    def look_at_envelope(self, wanted):
        records = self.stage.envelope()
        assert (wanted in records) or (wanted[:1] == "!" and not any(r.startswith(wanted[1:]) for r in records)), (wanted, records)

    def wait(self, condition, what):
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"waited in vain for {what}\n{self.stage.log()}"
            time.sleep(0.02)

    def other(self, wanted):
        with socket.create_connection(("127.0.0.1", self.stage.port), timeout=PATIENCE) as client:
            got = client.makefile("rb").readline()
        assert re.fullmatch(pattern(wanted), got.decode().removesuffix("\r\n")), f"wanted {wanted!r}, got {got!r}"

    def new(self, _):
        self.socket.close()
        self.connect()

    def run(self):
        sent, lines = b"", []
        message = [s[3:] for s in self.steps if s.startswith("M:")]
        acts = {
            "S:": self.expect,
            "I:": self.expect_any,
            "E:": self.expect_end,
            "T:": self.start_tls,
            "N:": self.new,
            "X:": lambda _: self.socket.close(),
            "H:": lambda _: self.socket.shutdown(socket.SHUT_WR),
            "W:": lambda s: time.sleep(float(s)),
            "! ": self.stage.tell,
            "Q:": lambda n: self.wait(lambda: len(self.stage.committed()) == int(n), f"{n} messages"),
            "O:": self.other,
            "D:": lambda _: shutil.rmtree(self.stage.folder / "incoming"),
            "M:": lambda _: None,
            "V:": self.look_at_envelope,
            "L:": lambda r: self.wait(lambda: re.search(r, self.stage.log(), re.M), r),
        }
        for at, step in enumerate(self.steps):
            kind, text = step[:2], step[3:] if step[1] == ":" else step[2:]
            if kind in ("C:", "R:"):
                sent += expanded(text).encode() + b"\r\n" if kind == "C:" else raw(text)
                if at + 1 < len(self.steps) and self.steps[at + 1][:2] in ("C:", "R:"):
                    continue
                self.socket.sendall(sent)
                sent = b""
            else:
                acts[kind](text)
        if message:
            got = self.stage.content().decode().split("\r\n")
            assert len(got) == len(message) + 1 and all(re.fullmatch(pattern(w), g) for w, g in zip(message, got)), "\n".join(got)


@pytest.mark.parametrize("path", sorted(HERE.glob("*/*.smtp")), ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_dialogue(path):
    dialogue = Dialogue(path)
    try:
        dialogue.run()
    except (AssertionError, OSError) as error:
        raise AssertionError(f"{path.name}: {error!r}\n{dialogue.stage.log()}") from error
    finally:
        dialogue.socket.close()
        dialogue.stage.end()
