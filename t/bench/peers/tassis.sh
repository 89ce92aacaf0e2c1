# tassis as installed below TASSIS_PREFIX: its shipped configuration but for paths and ports, users looked up in PostgreSQL, logging on.
PORT=2526
_prefix=${TASSIS_PREFIX:-$(cd "$here/../.." && pwd)/.check/gcc/prefix} _conf=$ST/main.conf _pg=$ST/postgresql
VERSION=$("$_prefix/sbin/tassis" version 2>/dev/null | head -n 1)
_libexec=$_prefix/libexec/tassis
_tassis() { "$_prefix/sbin/tassis" -c "$_conf" "$@"; }
p_setup() {
    mkdir -p "$ST/log"; chmod 755 "$ST"
    [ -d "$_pg" ] || "$_libexec/cluster" create "$_pg"
    "$_libexec/cluster" start "$_pg"
    local db; db=$("$_libexec/cluster" socket "$_pg")
    cat > "$_conf" <<X
hostname = mx.host.test
listen = 127.0.0.1:$PORT smtp starttls
spool_dir = $ST/spool
mail_dir = $MAIL
state_dir = $ST/state
log_to = file
log_file = $ST/log/tassis.log
message_size_max = 60000000
dns_servers = 127.0.0.1:9
dns_timeout = 100ms
smtp_client_name = no
tls_certificate = $CERT
tls_key = $KEY
database = host=$db dbname=tassis user=tassis_lookup
database_admin = host=$db dbname=tassis user=tassis
X
    _tassis schema upgrade > /dev/null
    psql -q -v ON_ERROR_STOP=1 "host=$db dbname=tassis user=tassis" > /dev/null <<X
INSERT INTO domains(name) VALUES ('$DOMAIN'), ('src.test') ON CONFLICT DO NOTHING;
INSERT INTO users(domain, local_part, folder) SELECT '$DOMAIN', n, n || '/' FROM (SELECT 'u' n UNION ALL SELECT i || 'u' FROM generate_series(1, $USERS) i) x ON CONFLICT DO NOTHING;
INSERT INTO relays(network) VALUES ('127.0.0.0/8') ON CONFLICT DO NOTHING;
INSERT INTO routes(host, port) VALUES ('127.0.0.1', $SINK) ON CONFLICT DO NOTHING;
X
}
p_start() { "$_libexec/cluster" start "$_pg" > /dev/null; _tassis start > /dev/null 2> "$ST/log/start.err"; }
p_stop() { _tassis stop > /dev/null 2>&1; for _ in {1..100}; do kill -0 "$(_master)" 2>/dev/null || break; sleep 0.1; done; "$_libexec/cluster" stop "$_pg" > /dev/null; }
_master() { tr -d ' \n' < "$ST/spool/master.pid" 2>/dev/null || echo none; }
p_pids() { tree "$(_master)"; }
p_queue() { find "$ST"/spool/{incoming,queue} -type f ! -name clean 2>/dev/null | wc -l; }
p_list() { _tassis queue list; }
p_flush() { _tassis queue flush; }
p_wipe() { find "$ST"/spool/{incoming,queue} -type f ! -name clean -delete 2>/dev/null; }
p_qmgr() { pgrep -P "$(_master)" -x queued; }
