/* SPDX-License-Identifier: Apache-2.0 */
/* Which member of etcd is asked: who it is, who we are to it, and what becomes of one that fails. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "io/etcd_private.h"
#include "io/secret_file.h"

#define GREETING_MAX 65536 /* bytes of an answer */
#define PASSWORD_MAX 1024
#define REST_MIN_MS 100
#define REST_MAX_MS 5000
#define STEADY_MS 5000

const char *etcd_url(const struct etcd *etcd)
{
	return etcd->settings.endpoints[etcd->member];
}

int etcd_post(struct etcd *etcd, const char *path, struct http_request *request, http_done *done, void *arg,
	      struct http_transfer **ret, struct error *error)
{
	/* A member without a leader is to say so, rather than to wait for one (etcd's rpctypes.MetadataRequireLeaderKey). */
	const char *headers[] = {"Grpc-Metadata-hasleader: true", etcd->authorization, NULL};
	char url[ETCD_URL_LEN + 64];

	snprintf(url, sizeof(url), "%s%s", etcd_url(etcd), path);
	request->url = url;
	request->headers = headers;
	request->tls = &etcd->tls;
	return http_client_start(etcd->http, request, done, arg, ret, error);
}

static void tell(struct etcd *etcd, bool connected, const char *sentence)
{
	if (!strcmp(etcd->told.text, sentence))
		return;
	fail(&etcd->told, 0, "%s", sentence);
	if (etcd->changed)
		etcd->changed(connected, etcd->told.text, etcd->arg);
}

/* Half of it at least, so that many clients do not come back at once. */
static __s64 jittered(unsigned milliseconds)
{
	unsigned random = 0;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		random = 0;
	return milliseconds / 2 + random % (milliseconds / 2 + 1);
}

static void forget_login(struct etcd *etcd)
{
	if (etcd->authorization)
		explicit_bzero(etcd->authorization, strlen(etcd->authorization));
	free(etcd->authorization);
	etcd->authorization = NULL;
}

static void rest(struct etcd *etcd)
{
	tell(etcd, false, etcd->why.text);
	etcd->weight = ETCD_SILENT;
	etcd->failed = 0;
	if (!etcd->rest)
		etcd->rest = REST_MIN_MS;
	etcd->rest_until = clock_ms() + jittered(etcd->rest);
	etcd->rest = 2 * etcd->rest < REST_MAX_MS ? 2 * etcd->rest : REST_MAX_MS;
}

static void leave(struct etcd *etcd, enum etcd_weight weight, const char *sentence)
{
	bool was_connected = etcd->stage == ETCD_CONNECTED;

	if (weight >= etcd->weight)
		fail(&etcd->why, 0, "%s", sentence);
	if (weight > etcd->weight)
		etcd->weight = weight;
	http_client_cancel(etcd->transfer);
	etcd->transfer = NULL;
	forget_login(etcd);
	etcd->stage = ETCD_RESTING;
	etcd->rest_until = 0;
	etcd->turn++;
	etcd->failed++;
	etcd->member = (etcd->member + 1) % etcd->settings.endpoint_count;
	if (was_connected)
		tell(etcd, false, sentence);
	if (etcd->failed >= etcd->settings.endpoint_count)
		rest(etcd);
	etcd_watches_leave(etcd);
	etcd_calls_leave(etcd);
	etcd_wake(etcd);
}

void etcd_leave(struct etcd *etcd, const char *format, ...)
{
	char sentence[sizeof(etcd->why.text)];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	leave(etcd, ETCD_SILENT, sentence);
}

void etcd_leave_after(struct etcd *etcd, const struct http_result *result)
{
	/* libcurl says how many milliseconds each took: what is the same is to be told once. */
	if (result->error == -ETIMEDOUT)
		etcd_leave(etcd, "%s: does not answer", etcd_url(etcd));
	else if (result->error == -ECONNREFUSED)
		etcd_leave(etcd, "%s: no connection can be made", etcd_url(etcd));
	else
		etcd_leave(etcd, "%s", result->sentence);
}

/* It answers that it is of no use. */
__attribute__((format(printf, 2, 3))) static void reject(struct etcd *etcd, const char *format, ...)
{
	char sentence[sizeof(etcd->why.text)];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	leave(etcd, ETCD_USELESS, sentence);
}

bool etcd_is_ours(struct etcd *etcd, __u64 cluster)
{
	struct error error;

	if (cluster == etcd->cluster)
		return true;
	fail(&error, 0, "%s: is of another cluster of etcd (%" PRIx64 ", and ours is %" PRIx64 "): it is left alone",
	     etcd_url(etcd), (uint64_t)cluster, (uint64_t)etcd->cluster);
	leave(etcd, ETCD_FOREIGN, error.text);
	return false;
}

void etcd_heard(struct etcd *etcd)
{
	__s64 now = clock_ms();

	etcd->probe_due = now + ETCD_SILENCE_MS;
	/* Where members answer, and fail soon after, clients that go round without a rest would be a load of their own. */
	if (now - etcd->connected_ms < STEADY_MS)
		return;
	etcd->failed = 0;
	etcd->rest = 0;
}

void etcd_note_revision(struct etcd *etcd, __s64 floor, __s64 revision)
{
	if (revision < floor) {
		etcd->revision = revision;
		etcd_watches_went_back(etcd, revision);
	} else if (revision > etcd->revision) {
		etcd->revision = revision;
	}
}

static void connected(struct etcd *etcd)
{
	char sentence[ETCD_URL_LEN + 16];

	/* That somebody else answers at one of the URLs is to be known, though all goes well with the others. */
	if (etcd->weight == ETCD_FOREIGN)
		tell(etcd, false, etcd->why.text);
	etcd->weight = ETCD_SILENT;
	etcd->stage = ETCD_CONNECTED;
	etcd->connected_ms = clock_ms();
	etcd->probe_due = etcd->connected_ms + ETCD_SILENCE_MS;
	snprintf(sentence, sizeof(sentence), "connected to %s", etcd_url(etcd));
	tell(etcd, true, sentence);
	etcd_wake(etcd);
}

/* What came of a question of this file's. false: the member is left. */
static bool take_reply(struct etcd *etcd, const struct http_result *result, struct etcd_reply *ret)
{
	etcd->transfer = NULL;
	if (result->error) {
		etcd_leave_after(etcd, result);
		return false;
	}
	if (etcd_reply_parse(result->body, result->len, ret)) {
		reject(etcd, "%s: what answers there (status %u) is no etcd", etcd_url(etcd), result->status);
		return false;
	}
	return true;
}

static void login(struct etcd *etcd);

static void greeted(const struct http_result *result, void *arg)
{
	struct etcd *etcd = arg;
	struct etcd_reply reply;

	if (!take_reply(etcd, result, &reply))
		return;
	if (reply.refused)
		reject(etcd, "%s: refuses: %s", etcd_url(etcd), reply.refusal.reason);
	else if (!reply.cluster)
		reject(etcd, "%s: what answers there (status %u) is no etcd", etcd_url(etcd), result->status);
	else if (!reply.leader)
		reject(etcd, "%s: has no leader: more than half of the members have to be there", etcd_url(etcd));
	else if (!etcd->cluster || etcd_is_ours(etcd, reply.cluster)) {
		etcd->cluster = reply.cluster;
		login(etcd);
	}
	etcd_reply_clear(&reply);
}

/* It becomes part of a header: it is not to end that. */
static bool is_token(const char *text)
{
	while (*text > ' ' && *text <= '~')
		text++;
	return !*text;
}

static void logged_in(const struct http_result *result, void *arg)
{
	/* Of a cluster in which nobody has to say who they are. */
	static const char not_enabled[] = "authentication is not enabled";
	struct etcd *etcd = arg;
	struct etcd_reply reply;
	bool needless;

	if (!take_reply(etcd, result, &reply))
		return;
	needless = reply.refused && strstr(reply.refusal.reason, not_enabled);
	if (reply.token && is_token(reply.token) &&
	    asprintf(&etcd->authorization, "Authorization: %s", reply.token) < 0)
		etcd->authorization = NULL;
	if (etcd->authorization || needless)
		connected(etcd);
	else
		reject(etcd, "%s: does not let user %s in: %s", etcd_url(etcd), etcd->settings.user,
		       reply.refused ? reply.refusal.reason : "it gives no token");
	etcd_reply_clear(&reply);
}

static int start_login(struct etcd *etcd, struct error *error)
{
	struct http_request request = {.timeout = ETCD_ATTEMPT_MS, .limit = GREETING_MAX};
	char password[PASSWORD_MAX], *body;
	int err = secret_file_read(etcd->settings.password_file, password, sizeof(password), error);

	if (err)
		return err;
	body = etcd_login_json(etcd->settings.user, password);
	explicit_bzero(password, sizeof(password));
	if (!body)
		return fail(error, -EINVAL, "%s: is no text", etcd->settings.password_file);
	request.json = body;
	err = etcd_post(etcd, "/v3/auth/authenticate", &request, logged_in, etcd, &etcd->transfer, error);
	explicit_bzero(body, strlen(body));
	free(body);
	return err;
}

static void login(struct etcd *etcd)
{
	struct error error;

	if (!etcd->settings.user[0]) {
		connected(etcd);
		return;
	}
	etcd->stage = ETCD_LOGGING_IN;
	etcd->login++;
	if (start_login(etcd, &error))
		etcd_leave(etcd, "%s", error.text);
}

void etcd_login_again(struct etcd *etcd)
{
	if (etcd->stage != ETCD_CONNECTED)
		return;
	forget_login(etcd);
	login(etcd);
}

void etcd_member_run(struct etcd *etcd)
{
	struct http_request request = {.json = "{}", .timeout = ETCD_ATTEMPT_MS, .limit = GREETING_MAX};
	struct error error;

	if (etcd->stage != ETCD_RESTING || clock_ms() < etcd->rest_until)
		return;
	etcd->stage = ETCD_GREETING;
	if (etcd_post(etcd, "/v3/maintenance/status", &request, greeted, etcd, &etcd->transfer, &error))
		etcd_leave(etcd, "%s", error.text);
}
