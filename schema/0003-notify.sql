-- Every change is told to the lookupd on all hosts, on channel tassis, so that they drop what they know of it: "TABLE KEY", a
-- notification for each key, or "all" for more than 100 rows of one statement. TRUNCATE is "all" too. PostgreSQL sends
-- them at commit, each once, in the order of the commits.

-- The key under which lookupd asks for a row; NULL: the whole kind ("TABLE" alone).
CREATE FUNCTION notify_key(table_name text, r jsonb) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
	SELECT CASE table_name
		WHEN 'domains' THEN r->>'name'
		WHEN 'users' THEN (r->>'local_part') || '@' || (r->>'domain')
		WHEN 'aliases' THEN (r->>'local_part') || '@' || (r->>'domain')
		WHEN 'sender_addresses' THEN (SELECT u.local_part || '@' || u.domain FROM users u WHERE u.id = (r->>'user_id')::bigint)
		END
$$;

-- Security definer: whoever changes a row need not be able to read the tables of the key.
CREATE FUNCTION notify_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
	n bigint;
	payload text;
	-- what lookupd knows of a sender's address stands in its user
	told text := CASE TG_TABLE_NAME WHEN 'sender_addresses' THEN 'users' ELSE TG_TABLE_NAME END;
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
		-- a sender's address whose user is gone: the user's own trigger has told it
		WHERE TG_TABLE_NAME <> 'sender_addresses' OR k.key IS NOT NULL
	LOOP
		-- a payload has less than 8,000 octets
		PERFORM pg_notify('tassis', CASE WHEN octet_length(payload) < 2000 THEN payload ELSE 'all' END);
	END LOOP;
	RETURN NULL;
END $$;

DO $$
DECLARE
	name text;
BEGIN
	FOREACH name IN ARRAY ARRAY['domains', 'users', 'aliases', 'relays', 'sender_addresses', 'routes', 'dkim_keys'] LOOP
		EXECUTE format('CREATE TRIGGER notify_insert AFTER INSERT ON %I REFERENCING NEW TABLE AS changed
			FOR EACH STATEMENT EXECUTE FUNCTION notify_changed()', name);
		EXECUTE format('CREATE TRIGGER notify_delete AFTER DELETE ON %I REFERENCING OLD TABLE AS changed
			FOR EACH STATEMENT EXECUTE FUNCTION notify_changed()', name);
		-- two, since a key may change: the old row's and the new row's
		EXECUTE format('CREATE TRIGGER notify_update_old AFTER UPDATE ON %I REFERENCING OLD TABLE AS changed
			FOR EACH STATEMENT EXECUTE FUNCTION notify_changed()', name);
		EXECUTE format('CREATE TRIGGER notify_update_new AFTER UPDATE ON %I REFERENCING NEW TABLE AS changed
			FOR EACH STATEMENT EXECUTE FUNCTION notify_changed()', name);
		EXECUTE format('CREATE TRIGGER notify_truncate AFTER TRUNCATE ON %I
			FOR EACH STATEMENT EXECUTE FUNCTION notify_changed()', name);
	END LOOP;
END $$;
