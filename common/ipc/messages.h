/* common/ipc/messages.h: every message between the processes: number, name, who sends it to whom, and its fields,
 * once. From this list come the structs, encoder, decoder, bounds, printable form, the permissions and the fuzz seeds.
 *
 *	F(kind, name[, max])       kind       in the struct   on the wire
 *	                           u8 u16 u32 u64  uintN_t    big-endian
 *	                           flag       bool            0 or 1
 *	                           ip         struct ip       family (0, 4, 6), then its octets
 *	                           text       struct slice    length (u32), octets; never a NUL, at most max octets
 *	                           octets     struct slice    the same, any octet; never in a log: what is secret is of this kind
 *	                           fault      struct fault    class, status, text
 *
 * A list is a field of octets that holds records (IPC_RECORDS) one behind the other, each coded as a message's fields are.
 * Every message is an ask (somebody waits for the answer), an answer, or a notice (nobody answers). A number is never used again.
 * Slices of a decoded message point into the frame and live until the handler returns. */
#pragma once

/* Who is at an end of a connection. ADMIN: the admin programs at a socket in control/. */
#define IPC_ROLES(R) \
	R(MASTER, "master") R(SMTPD, "smtpd") R(LOOKUPD, "lookupd") R(RESOLVD, "resolvd") R(QUEUED, "queued") \
	R(LOCAL, "local") R(REMOTE, "remote") R(ADMIN, "admin")

#define IPC_PATH_MAX 1024      /* a reverse-path or forward-path: RFC 5321 4.5.3.1.3 asks for 256, RFC 6531 for more */
#define IPC_HOST_MAX 255       /* a domain name, or an address as text */
#define IPC_FOLDER_MAX 4096    /* a folder's path */
#define IPC_ENVELOPE_MAX (8u << 20)
#define IPC_LIST_MAX (8u << 20)
#define IPC_REPLY_MAX 1024     /* the far end's words, cut */

/* The connection: the side that connects says who it is (master says it for a daemon that asked for a connection), the other grants a window:
 * how many asks may wait for their answer at once. A welcome that comes later with 0 says that another process is to be asked from now on. */
#define IPC_HELLO(F) F(u8, role) F(u16, worker)
#define IPC_WELCOME(F) F(u32, window)
/* Any ask may be answered by this: it could not be done, class and sentence say why. */
#define IPC_FAILED(F) F(fault, why)
#define IPC_DONE(F) F(u64, number)

/* master and its children */
#define IPC_PING(F) F(u64, at_ms)
#define IPC_PONG(F) F(u64, at_ms)
#define IPC_READY(F) F(u32, pid)
#define IPC_STOP(F) F(u64, within_ms)
/* With a descriptor: the settings as text (read-only); the daemon reads them as main.conf. */
#define IPC_SETTINGS(F) F(u64, generation)
/* With a descriptor: where log lines go. */
#define IPC_LOG(F) F(u8, log_to) F(u8, level)
/* With a descriptor: a listening socket; kind: enum listening; line is the listen line, or the name of a socket in private/ or control/. */
#define IPC_LISTENER(F) F(u8, kind) F(text, line, 4096)
/* With a read-only descriptor: a file that the daemon cannot open itself: "certificate", "key", "resolv.conf", "aliases", "authorities",
 * "templates" (of notices). */
#define IPC_FILE(F) F(text, name, 255) F(text, path, IPC_FOLDER_MAX)
/* With a descriptor: a folder. */
#define IPC_FOLDER(F) F(text, name, 255)
/* A daemon wants a connection to another; the answer has it as its descriptor, its hello already sent. */
#define IPC_CONNECT_ASK(F) F(u8, role) F(u16, worker)
#define IPC_CONNECT_ANSWER(F) F(u16, n_workers)
/* The account a daemon takes, and with it the chroot that came before as the folder "chroot"; its start follows. change: else it stays as it is.
 * keep_fowner: it keeps CAP_FOWNER and nothing else. */
#define IPC_ACCOUNT(F) F(flag, change) F(u32, uid) F(u32, gid) F(flag, keep_fowner)
/* All that a daemon needs has come: it says ready. */
#define IPC_BEGIN(F) F(u64, generation)

/* smtpd asks lookupd about one recipient; the policy on the answer is smtpd's. forward_path empty: about the sender alone. */
#define IPC_RCPT_ASK(F) \
	F(ip, client) F(text, user, IPC_PATH_MAX) F(text, reverse_path, IPC_PATH_MAX) F(text, forward_path, IPC_PATH_MAX)
/* recipient: enum rcpt_kind. sender: enum sender_kind. relay: client may send as reverse_path's domain. sender_owned: reverse_path is one
 * of user's own addresses. folder: the mailbox's Maildir, where the recipient is one local mailbox. */
#define IPC_RCPT_ANSWER(F) \
	F(u8, recipient) F(u8, sender) F(flag, relay) F(flag, sender_owned) F(text, folder, IPC_FOLDER_MAX) F(u64, quota_bytes) \
	F(u64, quota_messages)
#define IPC_AUTH_ASK(F) F(ip, client) F(text, authzid, IPC_PATH_MAX) F(text, user, IPC_PATH_MAX) F(octets, password, 1024)
/* accepted, and the user's whole name: "test@test.com". Not accepted: so long shall the refusal be held back, for this account's failures. */
#define IPC_AUTH_ANSWER(F) F(flag, accepted) F(text, user, IPC_PATH_MAX) F(u32, wait_ms)
/* A login from client has failed: its home counts it. Answered by done: so many ms shall the refusal be held back, for this client's failures. */
#define IPC_FAILURE_ASK(F) F(ip, client)
/* A signature by the private key whose public half has this SHA-256 (of its SubjectPublicKeyInfo). scheme: enum tls_scheme; input is the digest. */
#define IPC_SIGN_ASK(F) F(octets, key_id, 32) F(u8, scheme) F(text, digest, 32) F(octets, input, 16384)
#define IPC_SIGN_ANSWER(F) F(octets, signature, 1024)
/* The active keys of a domain, for signing mail (RFC 6376): keys holds dkim_selector records. */
#define IPC_DKIM_KEYS_ASK(F) F(text, domain, IPC_HOST_MAX)
#define IPC_DKIM_KEYS_ANSWER(F) F(octets, keys, 65536)
/* A signature by one of them over the SHA-256 of the canonical header; the answer is sign_answer. */
#define IPC_DKIM_SIGN_ASK(F) F(text, domain, IPC_HOST_MAX) F(text, selector, IPC_HOST_MAX) F(octets, digest, 32)
/* Session ticket keys: the newest first, each 80 octets: name 16, AES-256 key 32, HMAC-SHA-256 key 32. valid_ms: ask again after. */
#define IPC_TICKETS_ASK(F) F(u8, group)
#define IPC_TICKETS_ANSWER(F) F(octets, keys, 400) F(u64, valid_ms)

/* queued asks lookupd where a recipient's mail goes: targets holds route_target records. spam: the message is marked as such. mailbox not empty:
 * forward_path is a user, and it goes to that mailbox of theirs, past aliases. */
#define IPC_ROUTE_ASK(F) F(text, reverse_path, IPC_PATH_MAX) F(text, forward_path, IPC_PATH_MAX) F(flag, spam) F(text, mailbox, IPC_HOST_MAX)
#define IPC_ROUTE_ANSWER(F) F(octets, targets, IPC_LIST_MAX)

/* A message is committed in incoming/WORKER/ID. envelope: its envelope block as it stands in the file. */
#define IPC_MESSAGE_ASK(F) F(text, id, 32) F(u64, received_us) F(u64, size_bytes) F(octets, envelope, IPC_ENVELOPE_MAX)
/* The same message, whose message_ask a queued took along when it died. What that one has done with it stands in the file, so the file is read. */
#define IPC_AGAIN_ASK(F) F(text, id, 32)

/* With a read-only descriptor of the spool file: deliver to recipients (deliver_recipient records), all with one next hop. username and password: for
 * AUTH there. alone: the message has one recipient, so that naming it in the copy tells nobody of others.
 * ret, envid: RFC 3461 4.3, 4.4; empty: not given. */
#define IPC_DELIVER_ASK(F) \
	F(text, id, 32) F(u64, received_us) F(text, reverse_path, IPC_PATH_MAX) F(flag, eight_bit) F(flag, utf8) \
	F(text, host, IPC_HOST_MAX) F(u16, port) F(flag, mx) F(u8, tls) F(text, username, IPC_HOST_MAX) F(octets, password, 1024) \
	F(octets, recipients, IPC_LIST_MAX) F(flag, alone) F(text, ret, 8) F(text, envid, 128)
/* Does a message of that size fit into the Maildir's quota (0: no limit)? Answered by done: 1 it does, 0 it does not. */
#define IPC_QUOTA_ASK(F) F(text, folder, IPC_FOLDER_MAX) F(u64, quota_bytes) F(u64, quota_messages) F(u64, size_bytes)
/* results: deliver_result records, one for each recipient. unreachable: those that are deferred are so because no host of the next hop could be used: it is
 * not about this message. */
#define IPC_DELIVER_ANSWER(F) F(octets, results, IPC_LIST_MAX) F(flag, unreachable)

/* outcome: enum dns_outcome. records: dns_record records in the order of the answer, CNAMEs followed and left out. */
#define IPC_DNS_ASK(F) F(text, name, IPC_HOST_MAX) F(u16, type)
#define IPC_DNS_ANSWER(F) F(u8, outcome) F(flag, authentic) F(u32, ttl_s) F(octets, records, 262144)

/* The administrator's hand. */
#define IPC_CONTROL_ASK(F) F(text, verb, 64) F(text, argument, 4096)
/* text: for people, any number of lines. refused: it was not done, text says why. */
#define IPC_CONTROL_ANSWER(F) F(octets, text, 1u << 20) F(flag, refused)
/* Of at most max messages behind the place after (an id, "" from the start) those that to, from, domain, before_us (spool/filter.h) and held (enum
 * queue_held) let through: queue_entry records. next: the place behind which to ask on. last: the list ends here. */
#define IPC_QUEUE_LIST_ASK(F) \
	F(text, after, 32) F(u32, max) F(text, to, IPC_PATH_MAX) F(text, from, IPC_PATH_MAX) F(text, domain, IPC_HOST_MAX) \
	F(u64, before_us) F(u8, held)
#define IPC_QUEUE_LIST_ANSWER(F) F(octets, entries, IPC_LIST_MAX) F(text, next, 32) F(flag, last)
#define IPC_QUEUE_SHOW_ASK(F) F(text, id, 32)
/* recipients: queue_recipient records. attempts: the latest queue_attempt records that there is room for, in their order. */
#define IPC_QUEUE_SHOW_ANSWER(F) \
	F(u64, received_us) F(u64, next_attempt_us) F(u64, size_bytes) F(text, reverse_path, IPC_PATH_MAX) \
	F(octets, recipients, IPC_LIST_MAX) F(flag, held) F(octets, attempts, 1u << 20)
/* verb (enum queue_verb) is done to messages: queue_id records. who: whom the log shall name. */
#define IPC_QUEUE_STEER_ASK(F) F(u8, verb) F(text, who, 64) F(octets, ids, 65536)
/* n_under_way: being delivered now; it is done when that attempt has ended. refused: queue_refusal records of the others. */
#define IPC_QUEUE_STEER_ANSWER(F) F(u32, n_done) F(u32, n_under_way) F(octets, refused, IPC_LIST_MAX)
/* By destination, those with most messages first, at most max: queue_destination records. more: there are others. */
#define IPC_QUEUE_STATS_ASK(F) F(u32, max)
#define IPC_QUEUE_STATS_ANSWER(F) F(u64, waiting) F(u64, held) F(u64, active) F(octets, destinations, IPC_LIST_MAX) F(flag, more)
/* Messages are due at once: all, or those for one domain. The answer is done, with their number. */
#define IPC_QUEUE_FLUSH_ASK(F) F(text, domain, IPC_HOST_MAX)

/*	M(number, name, from, to, fields); from and to: roles joined with | */
#define IPC_MESSAGES(M) \
	M(1, hello, ANY, ANY, IPC_HELLO) \
	M(2, welcome, ANY, ANY, IPC_WELCOME) \
	M(3, failed, ANY, ANY, IPC_FAILED) \
	M(4, done, ANY, ANY, IPC_DONE) \
	M(10, ping, MASTER, ANY, IPC_PING) \
	M(11, pong, ANY, MASTER, IPC_PONG) \
	M(12, ready, ANY, MASTER, IPC_READY) \
	M(13, stop, MASTER, ANY, IPC_STOP) \
	M(14, settings, MASTER, ANY, IPC_SETTINGS) \
	M(15, log, MASTER, ANY, IPC_LOG) \
	M(16, listener, MASTER, ANY, IPC_LISTENER) \
	M(17, file, MASTER, ANY, IPC_FILE) \
	M(18, folder, MASTER, ANY, IPC_FOLDER) \
	M(19, connect_ask, ANY, MASTER, IPC_CONNECT_ASK) \
	M(20, connect_answer, MASTER, ANY, IPC_CONNECT_ANSWER) \
	M(21, account, MASTER, ANY, IPC_ACCOUNT) \
	M(22, begin, MASTER, ANY, IPC_BEGIN) \
	M(30, rcpt_ask, SMTPD, LOOKUPD, IPC_RCPT_ASK) \
	M(31, rcpt_answer, LOOKUPD, SMTPD, IPC_RCPT_ANSWER) \
	M(32, auth_ask, SMTPD, LOOKUPD, IPC_AUTH_ASK) \
	M(33, auth_answer, LOOKUPD, SMTPD, IPC_AUTH_ANSWER) \
	M(34, sign_ask, SMTPD | REMOTE, LOOKUPD, IPC_SIGN_ASK) \
	M(35, sign_answer, LOOKUPD, SMTPD | REMOTE | QUEUED, IPC_SIGN_ANSWER) \
	M(36, tickets_ask, SMTPD, LOOKUPD, IPC_TICKETS_ASK) \
	M(37, tickets_answer, LOOKUPD, SMTPD, IPC_TICKETS_ANSWER) \
	M(38, route_ask, QUEUED, LOOKUPD, IPC_ROUTE_ASK) \
	M(39, route_answer, LOOKUPD, QUEUED, IPC_ROUTE_ANSWER) \
	M(40, failure_ask, SMTPD, LOOKUPD, IPC_FAILURE_ASK) \
	M(41, dkim_keys_ask, SMTPD | QUEUED, LOOKUPD, IPC_DKIM_KEYS_ASK) \
	M(42, dkim_keys_answer, LOOKUPD, SMTPD | QUEUED, IPC_DKIM_KEYS_ANSWER) \
	M(43, dkim_sign_ask, SMTPD | QUEUED, LOOKUPD, IPC_DKIM_SIGN_ASK) \
	M(50, message_ask, SMTPD, QUEUED, IPC_MESSAGE_ASK) \
	M(51, again_ask, SMTPD, QUEUED, IPC_AGAIN_ASK) \
	M(60, deliver_ask, QUEUED, LOCAL | REMOTE, IPC_DELIVER_ASK) \
	M(61, deliver_answer, LOCAL | REMOTE, QUEUED, IPC_DELIVER_ANSWER) \
	M(62, quota_ask, SMTPD, LOCAL, IPC_QUOTA_ASK) \
	M(70, dns_ask, SMTPD | QUEUED | REMOTE | LOOKUPD | ADMIN, RESOLVD, IPC_DNS_ASK) \
	M(71, dns_answer, RESOLVD, SMTPD | QUEUED | REMOTE | LOOKUPD | ADMIN, IPC_DNS_ANSWER) \
	M(80, control_ask, ADMIN, ANY, IPC_CONTROL_ASK) \
	M(81, control_answer, ANY, ADMIN, IPC_CONTROL_ANSWER) \
	M(82, queue_list_ask, ADMIN, QUEUED, IPC_QUEUE_LIST_ASK) \
	M(83, queue_list_answer, QUEUED, ADMIN, IPC_QUEUE_LIST_ANSWER) \
	M(84, queue_show_ask, ADMIN, QUEUED, IPC_QUEUE_SHOW_ASK) \
	M(85, queue_show_answer, QUEUED, ADMIN, IPC_QUEUE_SHOW_ANSWER) \
	M(86, queue_flush_ask, ADMIN, QUEUED, IPC_QUEUE_FLUSH_ASK) \
	M(87, queue_steer_ask, ADMIN, QUEUED, IPC_QUEUE_STEER_ASK) \
	M(88, queue_steer_answer, QUEUED, ADMIN, IPC_QUEUE_STEER_ANSWER) \
	M(89, queue_stats_ask, ADMIN, QUEUED, IPC_QUEUE_STATS_ASK) \
	M(90, queue_stats_answer, QUEUED, ADMIN, IPC_QUEUE_STATS_ANSWER)

/* Where one recipient's mail goes; several where an alias is a list. kind: enum route_kind. forward_path: the recipient's own, after aliases.
 * LOCAL: folder (a Maildir below mail_dir) and the mailbox in it ("" and "inbox": its root), with the user's quota (0: none). REMOTE: host, port, mx (host is a
 * domain whose MX are asked), tls (enum route_tls), username and password (for AUTH there; empty: none). REFUSED: why. */
#define IPC_ROUTE_TARGET(F) \
	F(u8, kind) F(text, forward_path, IPC_PATH_MAX) F(text, folder, IPC_FOLDER_MAX) F(text, mailbox, IPC_HOST_MAX) F(u64, quota_bytes) \
	F(u64, quota_messages) F(text, host, IPC_HOST_MAX) F(u16, port) F(flag, mx) F(u8, tls) F(text, username, IPC_HOST_MAX) \
	F(octets, password, 1024) F(fault, why)
/* index: the recipient's place in queued's list for this message, given back in the result. notify, orcpt: RFC 3461 4.1, 4.2; empty: not given. */
#define IPC_DELIVER_RECIPIENT(F) \
	F(u32, index) F(text, forward_path, IPC_PATH_MAX) F(text, folder, IPC_FOLDER_MAX) F(text, mailbox, IPC_HOST_MAX) \
	F(u64, quota_bytes) F(u64, quota_messages) F(text, notify, 64) F(text, orcpt, 512)
/* outcome: enum deliver_outcome. status: RFC 3463. reply: the far end's words or our reason. host: who said it, "" ourselves.
 * dsn: the next hop knows DSN and has taken notify over: of what becomes of it, it tells the sender. */
#define IPC_DELIVER_RESULT(F) \
	F(u32, index) F(u8, outcome) F(text, status, 12) F(text, reply, IPC_REPLY_MAX) F(text, host, IPC_HOST_MAX) F(flag, dsn)
/* name: the target of MX, PTR; address: A, AAAA; data: TXT (strings joined), TLSA (as on the wire). */
#define IPC_DNS_RECORD(F) \
	F(u16, type) F(u16, preference) F(ip, address) F(text, name, IPC_HOST_MAX) F(octets, data, 65535)
#define IPC_QUEUE_ENTRY(F) \
	F(text, id, 32) F(u64, received_us) F(u64, next_attempt_us) F(u64, size_bytes) F(text, reverse_path, IPC_PATH_MAX) \
	F(u32, n_recipients) F(text, first_recipient, IPC_PATH_MAX) F(text, reason, IPC_REPLY_MAX) F(flag, held)
/* state: enum deliver_outcome; n_attempts so far, the last at last_attempt_us with the far end's words. */
#define IPC_QUEUE_RECIPIENT(F) \
	F(text, forward_path, IPC_PATH_MAX) F(u8, state) F(u32, n_attempts) F(u64, last_attempt_us) F(text, status, 12) \
	F(text, reply, IPC_REPLY_MAX) F(text, host, IPC_HOST_MAX)

/* ed25519: else RSA. */
#define IPC_DKIM_SELECTOR(F) F(text, selector, IPC_HOST_MAX) F(flag, ed25519)

/* outcome: enum deliver_outcome. */
#define IPC_QUEUE_ATTEMPT(F) \
	F(text, forward_path, IPC_PATH_MAX) F(u64, at_us) F(u8, outcome) F(text, status, 12) F(text, reply, IPC_REPLY_MAX) \
	F(text, host, IPC_HOST_MAX)
#define IPC_QUEUE_ID(F) F(text, id, 32)
#define IPC_QUEUE_REFUSAL(F) F(text, id, 32) F(fault, why)
/* name empty: those of which it is not known yet, or that go to several. oldest_us: when its oldest message came. failing: no host of it can be used; next_us: the next
 * attempt at that. reply: its last answer, or ours for it. by: who said it. */
#define IPC_QUEUE_DESTINATION(F) \
	F(text, name, IPC_HOST_MAX) F(u64, waiting) F(u64, oldest_us) F(u32, under_way) F(flag, failing) F(u64, next_us) \
	F(text, reply, IPC_REPLY_MAX) F(text, by, IPC_HOST_MAX)

#define IPC_RECORDS(R) \
	R(dkim_selector, IPC_DKIM_SELECTOR) \
	R(route_target, IPC_ROUTE_TARGET) \
	R(deliver_recipient, IPC_DELIVER_RECIPIENT) \
	R(deliver_result, IPC_DELIVER_RESULT) \
	R(dns_record, IPC_DNS_RECORD) \
	R(queue_entry, IPC_QUEUE_ENTRY) \
	R(queue_recipient, IPC_QUEUE_RECIPIENT) \
	R(queue_attempt, IPC_QUEUE_ATTEMPT) \
	R(queue_id, IPC_QUEUE_ID) \
	R(queue_refusal, IPC_QUEUE_REFUSAL) \
	R(queue_destination, IPC_QUEUE_DESTINATION)

/* The small numbers that fields hold. A receiver refuses what is not among them. */
enum rcpt_kind {
	RCPT_REMOTE,          /* its domain is not ours */
	RCPT_LOCAL,           /* a mailbox or an alias of ours */
	RCPT_RELAY_DOMAIN,    /* a domain that we relay for */
	RCPT_UNKNOWN,         /* our domain, nobody there */
	RCPT_DISABLED,        /* our domain, switched off */
};
enum sender_kind { SENDER_NULL, SENDER_REMOTE, SENDER_LOCAL };
enum route_kind { ROUTE_LOCAL, ROUTE_REMOTE, ROUTE_REFUSED };
enum route_tls { ROUTE_TLS_STARTTLS_IF_OFFERED, ROUTE_TLS_STARTTLS, ROUTE_TLS_IMPLICIT, ROUTE_TLS_NONE };
enum deliver_outcome { DELIVER_WAITING, DELIVER_DELIVERED, DELIVER_DEFERRED, DELIVER_FAILED };
enum dns_outcome {
	DNS_OK,       /* records of the type asked for */
	DNS_NO_DATA,  /* the name exists, not this type */
	DNS_NO_NAME,  /* the name does not exist */
	DNS_FAILED,   /* no answer, or SERVFAIL: temporary */
};
enum queue_held { QUEUE_HELD_OR_NOT, QUEUE_HELD, QUEUE_NOT_HELD };
enum queue_verb { QUEUE_HOLD, QUEUE_RELEASE, QUEUE_DELETE, QUEUE_RETRY, QUEUE_BOUNCE, N_QUEUE_VERBS };
enum listening { LISTENING_PORT, LISTENING_PRIVATE, LISTENING_CONTROL };
enum ipc_scheme { IPC_SCHEME_ECDSA, IPC_SCHEME_RSA_PKCS1, IPC_SCHEME_RSA_PSS, IPC_SCHEME_ED25519 };
