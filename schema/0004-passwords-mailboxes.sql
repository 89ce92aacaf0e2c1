-- What lookupd may write: a password in a stronger form. And mailboxes are part of what it knows of a user, so their changes are told.

-- true: the password's form is somebody else's to choose; it is never written anew. So it is for users made through the compatibility views.
ALTER TABLE users ADD COLUMN password_fixed boolean NOT NULL DEFAULT false;
GRANT SELECT (password_fixed) ON users TO tassis_lookup;

-- Puts new in the place of old, unless somebody else was faster. True: it did.
CREATE FUNCTION rewrite_password(of_local_part text, of_domain text, old text, new text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
	UPDATE public.users SET password = new
	WHERE local_part = of_local_part AND domain = of_domain AND password = old AND NOT password_fixed
		AND new LIKE '{SCRAM-SHA-256}%';
	RETURN FOUND;
END $$;
REVOKE ALL ON FUNCTION rewrite_password FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rewrite_password TO tassis_lookup;

CREATE OR REPLACE FUNCTION notify_key(table_name text, r jsonb) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
	SELECT CASE
		WHEN table_name = 'domains' THEN r->>'name'
		WHEN table_name IN ('users', 'aliases') THEN (r->>'local_part') || '@' || (r->>'domain')
		WHEN table_name IN ('sender_addresses', 'mailboxes') THEN
			(SELECT u.local_part || '@' || u.domain FROM users u WHERE u.id = (r->>'user_id')::bigint)
		END
$$;

CREATE OR REPLACE FUNCTION notify_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
	n bigint;
	payload text;
	-- what lookupd knows of a sender's address, or of a mailbox, stands in its user
	of_user boolean := TG_TABLE_NAME IN ('sender_addresses', 'mailboxes');
	told text := CASE WHEN of_user THEN 'users' ELSE TG_TABLE_NAME END;
BEGIN
	IF TG_OP = 'TRUNCATE' THEN
		PERFORM pg_notify('tassis', 'all');
		RETURN NULL;
	END IF;
	SELECT count(*) INTO n FROM (SELECT FROM changed LIMIT 101) c;
	IF n > 100 THEN
		PERFORM pg_notify('tassis', 'all');
		RETURN NULL;
	END IF;
	FOR payload IN
		SELECT DISTINCT concat_ws(' ', told, k.key)
		FROM changed c, notify_key(TG_TABLE_NAME, to_jsonb(c)) AS k (key)
		-- a row whose user is gone: the user's own trigger has told it
		WHERE NOT of_user OR k.key IS NOT NULL
	LOOP
		-- a payload has less than 8,000 octets
		PERFORM pg_notify('tassis', CASE WHEN octet_length(payload) < 2000 THEN payload ELSE 'all' END);
	END LOOP;
	RETURN NULL;
END $$;

CREATE TRIGGER notify_insert AFTER INSERT ON mailboxes REFERENCING NEW TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION notify_changed();
CREATE TRIGGER notify_delete AFTER DELETE ON mailboxes REFERENCING OLD TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION notify_changed();
CREATE TRIGGER notify_update_old AFTER UPDATE ON mailboxes REFERENCING OLD TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION notify_changed();
CREATE TRIGGER notify_update_new AFTER UPDATE ON mailboxes REFERENCING NEW TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION notify_changed();
CREATE TRIGGER notify_truncate AFTER TRUNCATE ON mailboxes
	FOR EACH STATEMENT EXECUTE FUNCTION notify_changed();
