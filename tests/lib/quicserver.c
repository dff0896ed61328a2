/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A QUIC server of the tests, which chooses connection ids as QUIC-LB says (draft-ietf-quic-load-balancers, plain encoding):
 *
 *   quicserver NAME LOG PORT SERVER-ID
 *
 * SERVER-ID, in hexadecimal, begins at the second byte of every connection id; the rest is random. HTTP/3 requests are
 * answered with NAME, whatever they ask for. For each connection a line goes to LOG when its handshake is complete, and for
 * each request: "open|request CONNECTION PEER PEER-PORT". CONNECTION is the id that the client began with. When it serves,
 * it prints "ready".
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

enum { CID_LENGTH = 12, MAX_CONNECTIONS = 256, MAX_CIDS = 32, MAX_STREAMS = 8, MAX_ANSWER = 128, DATAGRAM = 1500 };

/* What is to be sent on a stream; id -1: none. */
struct stream {
	int64_t id;
	uint8_t data[MAX_ANSWER];
	size_t length, sent;
	bool ends, ended;
};

struct connection {
	ngtcp2_crypto_conn_ref ref; /* the first member: what TLS knows of it */
	ngtcp2_conn *quic; /* NULL: the place is free */
	gnutls_session_t tls;
	ngtcp2_cid first; /* the client's choice */
	ngtcp2_cid cids[MAX_CIDS];
	size_t cid_count;
	struct stream streams[MAX_STREAMS];
	size_t stream_count;
};

static struct connection connections[MAX_CONNECTIONS];
static const char *name;
static FILE *log_file;
static int sock;
static in_port_t port; /* network order */
static uint8_t server_id[CID_LENGTH - 1];
static size_t server_id_length;
static uint8_t reset_secret[32];
static gnutls_certificate_credentials_t credentials;
static struct sockaddr_in6 peer; /* of the last datagram */

static ngtcp2_tstamp now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * NGTCP2_SECONDS + time.tv_nsec;
}

static void random_bytes(void *to, size_t length)
{
	if (getrandom(to, length, 0) != (ssize_t)length)
		err(1, "getrandom");
}

static void choose_cid(ngtcp2_cid *ret)
{
	ret->datalen = CID_LENGTH;
	random_bytes(ret->data, CID_LENGTH);
	memcpy(ret->data + 1, server_id, server_id_length);
}

static void add_cid(struct connection *connection, const ngtcp2_cid *cid)
{
	if (connection->cid_count == MAX_CIDS)
		errx(1, "a connection has more than %d ids", MAX_CIDS);
	connection->cids[connection->cid_count++] = *cid;
}

static struct connection *find(const uint8_t *id, size_t length)
{
	for (struct connection *connection = connections; connection < connections + MAX_CONNECTIONS; connection++)
		for (size_t i = 0; connection->quic && i < connection->cid_count; i++)
			if (connection->cids[i].datalen == length && !memcmp(connection->cids[i].data, id, length))
				return connection;
	return NULL;
}

static void note(const char *what, const struct connection *connection)
{
	char address[INET6_ADDRSTRLEN];

	inet_ntop(AF_INET6, &peer.sin6_addr, address, sizeof(address));
	fprintf(log_file, "%s ", what);
	for (size_t i = 0; i < connection->first.datalen; i++)
		fprintf(log_file, "%02x", connection->first.data[i]);
	fprintf(log_file, " %s %u\n", address, ntohs(peer.sin6_port));
}

/* ---- what ngtcp2 asks ---- */

static ngtcp2_conn *connection_of(ngtcp2_crypto_conn_ref *ref)
{
	return ((struct connection *)ref)->quic;
}

static void give_random(uint8_t *to, size_t length, const ngtcp2_rand_ctx *context)
{
	(void)context;
	random_bytes(to, length);
}

static int new_connection_id(ngtcp2_conn *quic, ngtcp2_cid *cid, uint8_t *token, size_t length, void *arg)
{
	(void)quic;
	if (length != CID_LENGTH)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	choose_cid(cid);
	add_cid(arg, cid);
	if (ngtcp2_crypto_generate_stateless_reset_token(token, reset_secret, sizeof(reset_secret), cid))
		return NGTCP2_ERR_CALLBACK_FAILURE;
	return 0;
}

static int remove_connection_id(ngtcp2_conn *quic, const ngtcp2_cid *cid, void *arg)
{
	struct connection *connection = arg;

	(void)quic;
	for (size_t i = 0; i < connection->cid_count; i++)
		if (ngtcp2_cid_eq(&connection->cids[i], cid))
			connection->cids[i--] = connection->cids[--connection->cid_count];
	return 0;
}

static struct stream *add_stream(struct connection *connection, int64_t id)
{
	struct stream *stream;

	if (connection->stream_count == MAX_STREAMS)
		return NULL;
	stream = &connection->streams[connection->stream_count++];
	*stream = (struct stream){.id = id};
	return stream;
}

static void append(struct stream *stream, const void *data, size_t length)
{
	memcpy(stream->data + stream->length, data, length);
	stream->length += length;
}

/* HTTP/3 (RFC 9114) needs a control stream, with settings, of each side. */
static int handshake_completed(ngtcp2_conn *quic, void *arg)
{
	static const uint8_t control[] = {0 /* the stream's type */, 4 /* SETTINGS */, 0 /* bytes */};
	struct connection *connection = arg;
	struct stream *stream;
	int64_t id;

	note("open", connection);
	if (ngtcp2_conn_open_uni_stream(quic, &id, NULL))
		return NGTCP2_ERR_CALLBACK_FAILURE;
	stream = add_stream(connection, id);
	if (!stream)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	append(stream, control, sizeof(control));
	return 0;
}

/* The end of a request: ":status: 200" out of QPACK's static table (RFC 9204), and the name. */
static int stream_data(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t offset, const uint8_t *data,
		       size_t length, void *arg, void *stream_arg)
{
	const uint8_t head[] = {1 /* HEADERS */, 3, 0, 0, 0xc0 | 25, 0 /* DATA */, strlen(name)};
	struct connection *connection = arg;
	struct stream *stream;

	(void)offset;
	(void)data;
	(void)stream_arg;
	ngtcp2_conn_extend_max_stream_offset(quic, id, length);
	ngtcp2_conn_extend_max_offset(quic, length);
	if (id & 3 || !(flags & NGTCP2_STREAM_DATA_FLAG_FIN))
		return 0; /* not of a request: the client's control streams */
	stream = add_stream(connection, id);
	if (!stream)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	append(stream, head, sizeof(head));
	append(stream, name, strlen(name));
	stream->ends = true;
	note("request", connection);
	return 0;
}

static const ngtcp2_callbacks callbacks = {
	.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
	.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
	.handshake_completed = handshake_completed,
	.encrypt = ngtcp2_crypto_encrypt_cb,
	.decrypt = ngtcp2_crypto_decrypt_cb,
	.hp_mask = ngtcp2_crypto_hp_mask_cb,
	.recv_stream_data = stream_data,
	.rand = give_random,
	.get_new_connection_id = new_connection_id,
	.remove_connection_id = remove_connection_id,
	.update_key = ngtcp2_crypto_update_key_cb,
	.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
	.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
	.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
	.version_negotiation = ngtcp2_crypto_version_negotiation_cb,
};

/* ---- TLS ---- */

static void must(int result, const char *what)
{
	if (result < 0)
		errx(1, "%s: %s", what, gnutls_strerror(result));
}

/* Signed by itself: its clients ask for no more. */
static void make_certificate(void)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t certificate;
	uint8_t serial = 1;

	must(gnutls_x509_privkey_init(&key), "key");
	must(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
	     "key");
	must(gnutls_x509_crt_init(&certificate), "certificate");
	must(gnutls_x509_crt_set_version(certificate, 3), "certificate");
	must(gnutls_x509_crt_set_serial(certificate, &serial, sizeof(serial)), "certificate");
	must(gnutls_x509_crt_set_activation_time(certificate, time(NULL) - 3600), "certificate");
	must(gnutls_x509_crt_set_expiration_time(certificate, time(NULL) + 86400), "certificate");
	must(gnutls_x509_crt_set_key(certificate, key), "certificate");
	must(gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0), "certificate");
	must(gnutls_certificate_allocate_credentials(&credentials), "credentials");
	must(gnutls_certificate_set_x509_key(credentials, &certificate, 1, key), "credentials");
}

static void begin_tls(struct connection *connection)
{
	static const gnutls_datum_t alpn = {(unsigned char *)"h3", 2};

	must(gnutls_init(&connection->tls, GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET), "session");
	must(gnutls_priority_set_direct(connection->tls, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL), "priorities");
	must(ngtcp2_crypto_gnutls_configure_server_session(connection->tls), "session");
	connection->ref.get_conn = connection_of;
	connection->ref.user_data = connection;
	gnutls_session_set_ptr(connection->tls, &connection->ref);
	must(gnutls_credentials_set(connection->tls, GNUTLS_CRD_CERTIFICATE, credentials), "credentials");
	must(gnutls_alpn_set_protocols(connection->tls, &alpn, 1, GNUTLS_ALPN_MANDATORY), "ALPN");
}

/* ---- connections ---- */

static void end_connection(struct connection *connection)
{
	ngtcp2_conn_del(connection->quic);
	gnutls_deinit(connection->tls);
	*connection = (struct connection){};
}

/* From a client's first packet; NULL: it is none. */
static struct connection *begin_connection(const ngtcp2_path *path, const uint8_t *data, size_t length)
{
	struct connection *connection = connections;
	ngtcp2_transport_params params;
	ngtcp2_settings settings;
	ngtcp2_pkt_hd header;
	ngtcp2_cid scid;

	if (ngtcp2_accept(&header, data, length))
		return NULL;
	while (connection < connections + MAX_CONNECTIONS && connection->quic)
		connection++;
	if (connection == connections + MAX_CONNECTIONS)
		errx(1, "more than %d connections", MAX_CONNECTIONS);
	choose_cid(&scid);
	ngtcp2_settings_default(&settings);
	settings.initial_ts = now();
	settings.no_pmtud = 1;
	ngtcp2_transport_params_default(&params);
	params.original_dcid = header.dcid;
	params.initial_max_streams_bidi = 4;
	params.initial_max_streams_uni = 3;
	params.initial_max_data = params.initial_max_stream_data_bidi_remote = params.initial_max_stream_data_uni =
		65536;
	params.max_idle_timeout = 30 * NGTCP2_SECONDS;
	params.active_connection_id_limit = 7;
	if (ngtcp2_conn_server_new(&connection->quic, &header.scid, &scid, path, header.version, &callbacks, &settings,
				   &params, NULL, connection))
		errx(1, "ngtcp2_conn_server_new");
	connection->first = header.dcid;
	add_cid(connection, &header.dcid);
	add_cid(connection, &scid);
	begin_tls(connection);
	ngtcp2_conn_set_tls_native_handle(connection->quic, connection->tls);
	return connection;
}

static void send_packet(const ngtcp2_path *path, const uint8_t *data, size_t length)
{
	struct iovec part = {(void *)data, length};
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	} control = {};
	struct msghdr message = {.msg_name = path->remote.addr,
				 .msg_namelen = path->remote.addrlen,
				 .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	struct in6_pktinfo info = {.ipi6_addr = ((struct sockaddr_in6 *)path->local.addr)->sin6_addr};

	control.header = (struct cmsghdr){CMSG_LEN(sizeof(info)), IPPROTO_IPV6, IPV6_PKTINFO};
	memcpy(CMSG_DATA(&control.header), &info, sizeof(info));
	if (sendmsg(sock, &message, 0) < 0)
		warn("sendmsg");
}

/* The stream with something to send; NULL: none. */
static struct stream *next_stream(struct connection *connection)
{
	for (size_t i = 0; i < connection->stream_count; i++) {
		struct stream *stream = &connection->streams[i];

		if (stream->sent < stream->length || (stream->ends && !stream->ended))
			return stream;
	}
	return NULL;
}

/* Sends what there is. False: the connection has ended. */
static bool write_all(struct connection *connection)
{
	uint8_t data[DATAGRAM];
	ngtcp2_path_storage path;
	ngtcp2_pkt_info info;

	for (;;) {
		struct stream *stream = next_stream(connection);
		ngtcp2_ssize written = -1, length;
		ngtcp2_vec rest = {};
		uint32_t flags = 0;

		ngtcp2_path_storage_zero(&path);
		if (stream) {
			rest = (ngtcp2_vec){stream->data + stream->sent, stream->length - stream->sent};
			flags = stream->ends ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0;
		}
		length = ngtcp2_conn_writev_stream(connection->quic, &path.path, &info, data, sizeof(data), &written,
						   flags, stream ? stream->id : -1, &rest, stream ? 1 : 0, now());
		if (stream && written >= 0) {
			stream->sent += written;
			stream->ended = stream->ends && stream->sent == stream->length;
		}
		if (length == NGTCP2_ERR_STREAM_DATA_BLOCKED || length == NGTCP2_ERR_STREAM_SHUT_WR)
			return true;
		if (length < 0)
			return false;
		if (!length) {
			ngtcp2_conn_update_pkt_tx_time(connection->quic, now());
			return true;
		}
		send_packet(&path.path, data, length);
	}
}

/* ---- packets ---- */

/* The address of ours that a datagram was sent to. */
static void destination(struct msghdr *message, struct sockaddr_in6 *ret)
{
	*ret = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
	for (struct cmsghdr *control = CMSG_FIRSTHDR(message); control; control = CMSG_NXTHDR(message, control)) {
		struct in6_pktinfo info;

		if (control->cmsg_level != IPPROTO_IPV6 || control->cmsg_type != IPV6_PKTINFO)
			continue;
		memcpy(&info, CMSG_DATA(control), sizeof(info));
		ret->sin6_addr = info.ipi6_addr;
	}
}

static void take_packet(const ngtcp2_path *path, const uint8_t *data, size_t length)
{
	struct connection *connection;
	ngtcp2_pkt_info info = {};
	ngtcp2_version_cid ids;

	if (ngtcp2_pkt_decode_version_cid(&ids, data, length, CID_LENGTH))
		return;
	connection = find(ids.dcid, ids.dcidlen);
	if (!connection)
		connection = begin_connection(path, data, length);
	if (connection &&
	    (ngtcp2_conn_read_pkt(connection->quic, path, &info, data, length, now()) || !write_all(connection)))
		end_connection(connection);
}

static void receive(void)
{
	struct sockaddr_in6 own;
	uint8_t data[65536], control[128];
	struct iovec part = {data, sizeof(data)};
	struct msghdr message = {.msg_name = &peer,
				 .msg_namelen = sizeof(peer),
				 .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	ssize_t length = recvmsg(sock, &message, MSG_DONTWAIT);

	if (length <= 0)
		return;
	destination(&message, &own);
	take_packet(&(ngtcp2_path){.local = {(void *)&own, sizeof(own)}, .remote = {(void *)&peer, sizeof(peer)}}, data,
		    length);
}

/* Does what is due; returns how many ms there are until something is. */
static int keep_time(void)
{
	ngtcp2_tstamp time = now(), next = time + NGTCP2_SECONDS;

	for (struct connection *connection = connections; connection < connections + MAX_CONNECTIONS; connection++) {
		ngtcp2_tstamp expiry;

		if (!connection->quic)
			continue;
		if (ngtcp2_conn_get_expiry(connection->quic) <= time &&
		    (ngtcp2_conn_handle_expiry(connection->quic, time) || !write_all(connection))) {
			end_connection(connection);
			continue;
		}
		expiry = ngtcp2_conn_get_expiry(connection->quic);
		if (expiry < next)
			next = expiry;
	}
	return next <= time ? 0 : (int)((next - time) / NGTCP2_MILLISECONDS) + 1;
}

static void open_socket(const char *text)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6};
	int one = 1, zero = 0;

	port = htons(atoi(text));
	address.sin6_port = port;
	sock = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0 || setsockopt(sock, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)) ||
	    setsockopt(sock, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one)) ||
	    bind(sock, (void *)&address, sizeof(address)))
		err(1, "port %s", text);
}

static void parse_id(const char *text)
{
	for (; *text; text += 2)
		if (server_id_length == sizeof(server_id) || sscanf(text, "%2hhx", &server_id[server_id_length++]) != 1)
			errx(2, "%s: not a server id", text);
}

int main(int argc, char **argv)
{
	if (argc != 5 || strlen(argv[1]) > 63)
		errx(2, "usage: quicserver NAME LOG PORT SERVER-ID");
	name = argv[1];
	log_file = fopen(argv[2], "ae");
	if (!log_file)
		err(1, "%s", argv[2]);
	setvbuf(log_file, NULL, _IOLBF, 0);
	parse_id(argv[4]);
	random_bytes(reset_secret, sizeof(reset_secret));
	make_certificate();
	open_socket(argv[3]);
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct pollfd ready = {.fd = sock, .events = POLLIN};

		if (poll(&ready, 1, keep_time()) > 0)
			receive();
	}
}
