-- Who may do what. The owner does everything; lookupd reads what it answers from; Dovecot sees one view.

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;

GRANT SELECT (name, kind, recipients, enabled) ON domains TO tassis_lookup;
GRANT SELECT (id, domain, local_part, password, enabled, folder, quota_bytes, quota_messages) ON users TO tassis_lookup;
GRANT SELECT (user_id, name) ON mailboxes TO tassis_lookup;
GRANT SELECT (id, domain, local_part, target, enabled) ON aliases TO tassis_lookup;
GRANT SELECT (network, domain) ON relays TO tassis_lookup;
GRANT SELECT (user_id, address) ON sender_addresses TO tassis_lookup;
GRANT SELECT (domain, sender_domain, host, port, mx, tls, username, password) ON routes TO tassis_lookup;
GRANT SELECT (domain, selector, algorithm, private_key, state) ON dkim_keys TO tassis_lookup;
GRANT SELECT ON schema_version TO tassis_lookup;

-- Users who can log in by IMAP: enabled, of an enabled domain that is ours, with a password. folder is below mail_dir. quota_rule as Dovecot's
-- quota plugin takes it.
CREATE VIEW imap_users WITH (security_barrier) AS
	SELECT u.local_part || '@' || u.domain AS address, u.local_part, u.domain, u.password,
		coalesce(rtrim(u.folder, '/') || '/', u.domain || '/' || u.local_part || '/') AS folder,
		nullif(concat_ws(':', '*', 'bytes=' || u.quota_bytes, 'messages=' || u.quota_messages), '*') AS quota_rule
	FROM users u JOIN domains d ON d.name = u.domain
	WHERE u.enabled AND d.enabled AND d.kind = 'local' AND u.password IS NOT NULL;
GRANT SELECT ON imap_users TO tassis_imap;
