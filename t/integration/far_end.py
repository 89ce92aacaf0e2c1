"""A scripted far end: an SMTP server on loopback that does to its client what the test says, and remembers what came."""
import base64, socket, ssl, threading, time

# What a test DNS server says so that mail for far.test comes to a far end on loopback.
ZONE = "far.test MX 10 mx.far.test\nmx.far.test A 127.0.0.1\n"


class FarEnd:
    """replies: verb (or "connect", "data" for the end of data, "tls") -> what to do: a reply "450 4.2.0 later", "close", "silent", or a list of these, used up one a time, the last for ever.
    A key "RCPT <addr>" is for that recipient alone."""

    def __init__(self, replies=None, extensions=("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SIZE 50000000"), certificate=None, port=0, address="127.0.0.1", implicit=False, users=None):
        self.replies = dict(replies or {})
        self.extensions = list(extensions)
        self.certificate = certificate  # (cert, key) offers STARTTLS; implicit: speaks TLS from the first octet
        self.implicit = implicit
        self.users = users  # {user: password}: AUTH is offered, and needed before MAIL
        self.logins = []  # (user, password, mechanism, tls)
        self.messages = []  # (reverse-path, [forward-paths], octets, tls)
        self.dialogue = []
        self.connections = 0
        self.listener = socket.create_server((address, port), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.stopping = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def stop(self):
        self.stopping = True
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def run(self):
        while not self.stopping:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.session, args=(connection,), daemon=True).start()

    def reply_to(self, key, default):
        reply = self.replies.get(key, default)
        if isinstance(reply, list):
            reply = reply.pop(0) if len(reply) > 1 else reply[0]
        return reply

    mechanisms = "PLAIN LOGIN"

    @staticmethod
    def login(words, say, stream):
        """User and password, by PLAIN (with and without an initial response) or LOGIN."""

        def asked(prompt):
            say("334", "334 " + base64.b64encode(prompt).decode())
            return base64.b64decode(stream.readline().strip()).decode()

        if words[0] == "PLAIN":
            octets = base64.b64decode(words[1]).decode() if len(words) > 1 else asked(b"")
            return tuple(octets.split("\0")[1:])
        return asked(b"Username:"), asked(b"Password:")

    def session(self, connection):
        try:
            self.talk(connection)
        except (OSError, EOFError, ssl.SSLError):
            pass
        finally:
            connection.close()

    def talk(self, connection):
        tls = False

        def encrypt(connection):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.certificate)
            return context.wrap_socket(connection, server_side=True)

        if self.implicit and self.reply_to("tls", "220") != "220":
            return
        if self.implicit:
            connection, tls = encrypt(connection), True
        stream = connection.makefile("rb")
        user = None

        def say(key, default):
            reply = self.reply_to(key, default)
            if reply == "close":
                raise EOFError
            if reply == "silent":
                while not self.stopping and connection.recv(65536):
                    time.sleep(0.05)
                raise EOFError
            self.dialogue.append("S: " + reply)
            connection.sendall(reply.encode() + b"\r\n")
            return reply

        if not say("connect", "220 far.test ESMTP").startswith("2"):
            pass
        reverse, forward = None, []
        while True:
            line = stream.readline()
            if not line:
                return
            line = line.decode(errors="replace").rstrip("\r\n")
            self.dialogue.append("C: " + line)
            verb = line.split(" ")[0].upper()
            if verb == "EHLO":
                words = ["far.test"] + self.extensions + (["STARTTLS"] if self.certificate and not tls else [])
                words += ["AUTH " + self.mechanisms] if self.users else []
                default = "\r\n".join(("250-" if w is not words[-1] else "250 ") + w for w in words)
                say("EHLO", default)
            elif verb == "HELO":
                say("HELO", "250 far.test")
            elif verb == "STARTTLS" and self.certificate:
                if say("STARTTLS", "220 2.0.0 go on").startswith("2"):
                    connection = encrypt(connection)
                    stream = connection.makefile("rb")
                    tls = True
            elif verb == "AUTH" and self.users:
                found = self.login(line.split(" ")[1:], say, stream)
                self.logins.append((*found, line.split(" ")[1], tls))
                if self.users.get(found[0]) == found[1]:
                    user = found[0]
                    say("AUTH", "235 2.7.0 welcome")
                else:
                    say("AUTH", "535 5.7.8 who are you?")
            elif verb == "MAIL" and self.users and user is None:
                say("530", "530 5.7.0 AUTH first")
            elif verb == "MAIL":
                if say("MAIL", "250 2.1.0 ok").startswith("2"):
                    reverse, forward = line[line.index("<") + 1 : line.index(">")], []
            elif verb == "RCPT":
                path = line[line.index("<") + 1 : line.index(">")]
                if reverse is None:
                    say("503", "503 5.5.1 MAIL first")
                    continue
                key = f"RCPT {path}" if f"RCPT {path}" in self.replies else "RCPT"
                if say(key, "250 2.1.5 ok").startswith("2"):
                    forward.append(path)
            elif verb == "DATA":
                if not forward:
                    say("DATA", "554 5.5.1 no valid recipients")
                    continue
                if not say("DATA", "354 go on").startswith("3"):
                    continue
                octets = b""
                while True:
                    row = stream.readline()
                    if not row:
                        return
                    if row == b".\r\n":
                        break
                    octets += row[1:] if row.startswith(b".") else row
                if say("data", "250 2.0.0 taken").startswith("2"):
                    self.messages.append((reverse, forward, octets, tls))
                reverse, forward = None, []
            elif verb == "RSET":
                reverse, forward = None, []
                say("RSET", "250 2.0.0 ok")
            elif verb == "NOOP":
                say("NOOP", "250 2.0.0 ok")
            elif verb == "QUIT":
                say("QUIT", "221 2.0.0 bye")
                return
            else:
                say(verb, "500 5.5.2 what?")
