-- The sample: domain test.com, user test, password 1111 (its SHA-256 without salt), three mailboxes. Running it again changes nothing.
BEGIN;

INSERT INTO domains (name) VALUES ('test.com') ON CONFLICT DO NOTHING;

INSERT INTO users (domain, local_part, password)
VALUES ('test.com', 'test', '{SHA256.HEX}0ffe1abd1a08215353c233d6e009613e95eec4253832a761af28ff37ac5a150c')
ON CONFLICT DO NOTHING;

INSERT INTO mailboxes (user_id, name)
SELECT u.id, m.name FROM users u, unnest(ARRAY['inbox', 'sent', 'spam']) AS m (name)
WHERE u.domain = 'test.com' AND u.local_part = 'test'
ON CONFLICT DO NOTHING;

COMMIT;
