-- The tables of netty-smtp-server (simplesmtp) as views that can be written: what its programs and scripts say to tbl_domain, tbl_user, tbl_mailbox and tbl_relay goes
-- on working. `tassis schema compat` runs this file, psql does too; it may be repeated. tassis-migration(7) explains the columns.
--
-- Whoever writes there needs rights on the views alone: GRANT SELECT, INSERT, UPDATE, DELETE ON tbl_domain, tbl_user, tbl_mailbox, tbl_relay TO …;

-- An identity that was given is kept, and those that PostgreSQL gives from then on are above it.
CREATE OR REPLACE FUNCTION compat_next_id(table_name text, given bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
	sequence_name text := pg_get_serial_sequence(table_name, 'id');
	last bigint;
BEGIN
	IF given IS NULL THEN
		RETURN nextval(sequence_name);
	END IF;
	EXECUTE format('SELECT last_value FROM %s', sequence_name) INTO last;
	IF given >= last THEN
		-- nobody else may draw a number between the question and the answer
		EXECUTE format('LOCK TABLE %I IN SHARE ROW EXCLUSIVE MODE', table_name);
		EXECUTE format('SELECT setval(%L, greatest(%s, last_value)) FROM %s', sequence_name, given, sequence_name);
	END IF;
	RETURN given;
END $$;

CREATE OR REPLACE FUNCTION compat_domain_name(of_id bigint) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
	found text;
BEGIN
	SELECT name INTO found FROM domains WHERE id = of_id;
	IF found IS NULL THEN
		RAISE foreign_key_violation USING MESSAGE = format('there is no domain with f_idx %s in tbl_domain', coalesce(of_id::text, 'NULL'));
	END IF;
	RETURN found;
END $$;

-- A password as it is kept: 64 hexadecimal digits are a SHA-256 without salt; a {SCHEME}hash stays; '' and NULL: nobody logs in.
CREATE OR REPLACE FUNCTION compat_password(f_pwd text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$
	SELECT CASE WHEN f_pwd ~ '^[0-9A-Fa-f]{64}$' THEN '{SHA256.HEX}' || lower(f_pwd) ELSE nullif(f_pwd, '') END
$$;

-- f_type 0: an address, 1: a subnet, where the address may be any of it.
CREATE OR REPLACE FUNCTION compat_network(f_ip text, f_type integer) RETURNS cidr
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
	IF coalesce(f_type, 0) = 0 AND masklen(f_ip::inet) < (CASE family(f_ip::inet) WHEN 4 THEN 32 ELSE 128 END) THEN
		RAISE invalid_parameter_value USING MESSAGE = format('f_ip %s is a subnet; f_type says 0, an address', f_ip), HINT = 'a subnet has f_type 1';
	END IF;
	IF coalesce(f_type, 0) NOT IN (0, 1) THEN
		RAISE invalid_parameter_value USING MESSAGE = format('f_type is 0, an address, or 1, a subnet; not %s', f_type);
	END IF;
	IF masklen(f_ip::inet) = 0 THEN
		RAISE invalid_parameter_value USING MESSAGE = format('f_ip %s is everybody, and everybody could send as anybody of ours', f_ip);
	END IF;
	RETURN network(f_ip::inet);
END $$;

-- Its numbers stay what they are: other tables name rows by them.
CREATE OR REPLACE FUNCTION compat_same_id(old_id bigint, new_id bigint) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
	IF new_id IS DISTINCT FROM old_id THEN
		RAISE feature_not_supported USING MESSAGE = format('f_idx %s cannot become %s', old_id, coalesce(new_id::text, 'NULL'));
	END IF;
END $$;

-- ---- tbl_domain ----

CREATE OR REPLACE VIEW tbl_domain (f_idx, f_name, f_status) AS
	SELECT id, name::text, CASE WHEN enabled THEN 0 ELSE 1 END FROM domains WHERE kind = 'local';

CREATE OR REPLACE FUNCTION compat_write_domain() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
	IF TG_OP = 'DELETE' THEN
		IF EXISTS (SELECT FROM users WHERE domain = OLD.f_name) OR EXISTS (SELECT FROM relays WHERE domain = OLD.f_name) THEN
			RAISE foreign_key_violation USING MESSAGE = format('domain %s still has users or relays', OLD.f_name);
		END IF;
		DELETE FROM domains WHERE id = OLD.f_idx;
		RETURN OLD;
	END IF;
	NEW.f_name := lower(NEW.f_name);
	NEW.f_status := coalesce(NEW.f_status, 0);
	IF TG_OP = 'INSERT' THEN
		NEW.f_idx := compat_next_id('domains', NEW.f_idx);
		INSERT INTO domains (id, name, enabled) VALUES (NEW.f_idx, NEW.f_name, NEW.f_status = 0);
	ELSE
		PERFORM compat_same_id(OLD.f_idx, NEW.f_idx);
		UPDATE domains SET name = NEW.f_name, enabled = NEW.f_status = 0 WHERE id = OLD.f_idx;
	END IF;
	RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER compat_write INSTEAD OF INSERT OR UPDATE OR DELETE ON tbl_domain
	FOR EACH ROW EXECUTE FUNCTION compat_write_domain();

-- ---- tbl_user ----

-- Any other form of password than SHA-256 is shown as it is kept.
CREATE OR REPLACE VIEW tbl_user (f_idx, f_id, f_didx, f_pwd) AS
	SELECT u.id, u.local_part::text, d.id, CASE WHEN u.password LIKE '{SHA256.HEX}%' THEN substr(u.password, 13) ELSE u.password::text END
	FROM users u JOIN domains d ON d.name = u.domain WHERE d.kind = 'local';

-- Whoever reads f_pwd expects what was written there: such a password is not put into a stronger form at a login.
CREATE OR REPLACE FUNCTION compat_write_user() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
	IF TG_OP = 'DELETE' THEN
		DELETE FROM users WHERE id = OLD.f_idx;
		RETURN OLD;
	END IF;
	NEW.f_id := lower(NEW.f_id);
	IF TG_OP = 'INSERT' THEN
		NEW.f_idx := compat_next_id('users', NEW.f_idx);
		INSERT INTO users (id, local_part, domain, password, password_fixed)
			VALUES (NEW.f_idx, NEW.f_id, compat_domain_name(NEW.f_didx), compat_password(NEW.f_pwd), true);
	ELSE
		PERFORM compat_same_id(OLD.f_idx, NEW.f_idx);
		UPDATE users SET local_part = NEW.f_id, domain = compat_domain_name(NEW.f_didx) WHERE id = OLD.f_idx;
		IF NEW.f_pwd IS DISTINCT FROM OLD.f_pwd THEN
			UPDATE users SET password = compat_password(NEW.f_pwd), password_fixed = true WHERE id = OLD.f_idx;
		END IF;
	END IF;
	RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER compat_write INSTEAD OF INSERT OR UPDATE OR DELETE ON tbl_user
	FOR EACH ROW EXECUTE FUNCTION compat_write_user();

-- ---- tbl_mailbox ----

CREATE OR REPLACE VIEW tbl_mailbox (f_idx, f_aidx, f_name) AS
	SELECT m.id, m.user_id, m.name::text
	FROM mailboxes m JOIN users u ON u.id = m.user_id JOIN domains d ON d.name = u.domain WHERE d.kind = 'local';

CREATE OR REPLACE FUNCTION compat_write_mailbox() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
	IF TG_OP = 'DELETE' THEN
		DELETE FROM mailboxes WHERE id = OLD.f_idx;
		RETURN OLD;
	END IF;
	IF TG_OP = 'INSERT' THEN
		NEW.f_idx := compat_next_id('mailboxes', NEW.f_idx);
		INSERT INTO mailboxes (id, user_id, name) VALUES (NEW.f_idx, NEW.f_aidx, NEW.f_name);
	ELSE
		PERFORM compat_same_id(OLD.f_idx, NEW.f_idx);
		UPDATE mailboxes SET user_id = NEW.f_aidx, name = NEW.f_name WHERE id = OLD.f_idx;
	END IF;
	RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER compat_write INSTEAD OF INSERT OR UPDATE OR DELETE ON tbl_mailbox
	FOR EACH ROW EXECUTE FUNCTION compat_write_mailbox();

-- ---- tbl_relay ----

-- f_didx 0: every domain.
CREATE OR REPLACE VIEW tbl_relay (f_idx, f_ip, f_type, f_didx) AS
	SELECT r.id, CASE WHEN masklen(r.network) = CASE family(r.network) WHEN 4 THEN 32 ELSE 128 END THEN host(r.network) ELSE r.network::text END,
		CASE WHEN masklen(r.network) = CASE family(r.network) WHEN 4 THEN 32 ELSE 128 END THEN 0 ELSE 1 END,
		coalesce(d.id, 0)
	FROM relays r LEFT JOIN domains d ON d.name = r.domain;

CREATE OR REPLACE FUNCTION compat_write_relay() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
	of_network cidr;
	of_domain text;
BEGIN
	IF TG_OP = 'DELETE' THEN
		DELETE FROM relays WHERE id = OLD.f_idx;
		RETURN OLD;
	END IF;
	NEW.f_type := coalesce(NEW.f_type, 0);
	NEW.f_didx := coalesce(NEW.f_didx, 0);
	of_network := compat_network(NEW.f_ip, NEW.f_type);
	IF NEW.f_didx <> 0 THEN
		of_domain := compat_domain_name(NEW.f_didx);
	END IF;
	IF TG_OP = 'INSERT' THEN
		NEW.f_idx := compat_next_id('relays', NEW.f_idx);
		INSERT INTO relays (id, network, domain) VALUES (NEW.f_idx, of_network, of_domain);
	ELSE
		PERFORM compat_same_id(OLD.f_idx, NEW.f_idx);
		UPDATE relays SET network = of_network, domain = of_domain WHERE id = OLD.f_idx;
	END IF;
	RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER compat_write INSTEAD OF INSERT OR UPDATE OR DELETE ON tbl_relay
	FOR EACH ROW EXECUTE FUNCTION compat_write_relay();

-- Only these triggers and their owner call what writes.
REVOKE ALL ON FUNCTION compat_next_id, compat_domain_name, compat_write_domain, compat_write_user, compat_write_mailbox, compat_write_relay FROM PUBLIC;
