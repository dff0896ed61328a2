/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base64.h"
#include "io/answer.h"
#include "io/etcd_json.h"

/* Unsigned ones above 2^63 too: the number wraps, and is only compared. */
int etcd_take_number(const json_t *object, const char *key, __s64 *ret)
{
	const json_t *json = json_object_get(object, key);
	const char *text = json_string_value(json);
	char *end;

	*ret = json_is_integer(json) ? json_integer_value(json) : 0;
	if (!json || json_is_integer(json))
		return 0;
	if (!text || !*text || text[strspn(text, "-0123456789")])
		return -EBADMSG;
	errno = 0;
	*ret = *text == '-' ? strtoll(text, &end, 10) : (__s64)strtoull(text, &end, 10);
	return *end || errno ? -EBADMSG : 0;
}

int etcd_take_header(const json_t *object, __u64 *ret_cluster, __s64 *ret_revision)
{
	const json_t *header = json_object_get(object, "header");
	__s64 cluster = 0;
	int err = etcd_take_number(header, "cluster_id", &cluster);

	*ret_cluster = (__u64)cluster;
	return err ? err : etcd_take_number(header, "revision", ret_revision);
}

static int take_bytes(const json_t *object, const char *key, char **bytes, const char **ret, size_t *ret_len)
{
	const json_t *json = json_object_get(object, key);
	const char *text = json_string_value(json);

	*ret = "";
	*ret_len = 0;
	if (!json)
		return 0;
	if (!text || base64_decode(text, json_string_length(json), *bytes, ret_len))
		return -EBADMSG;
	if (!*ret_len)
		return 0;
	*ret = *bytes;
	*bytes += *ret_len;
	*(*bytes)++ = '\0';
	return 0;
}

int etcd_take_kv(const json_t *kv, char **bytes, struct etcd_kv *ret)
{
	int err = json_is_object(kv) ? take_bytes(kv, "key", bytes, &ret->key, &ret->key_len) : -EBADMSG;

	if (!err)
		err = take_bytes(kv, "value", bytes, &ret->value, &ret->value_len);
	if (!err)
		err = etcd_take_number(kv, "create_revision", &ret->create_revision);
	if (!err)
		err = etcd_take_number(kv, "mod_revision", &ret->mod_revision);
	if (!err)
		err = etcd_take_number(kv, "version", &ret->version);
	return err ? err : etcd_take_number(kv, "lease", &ret->lease);
}

void etcd_take_reason(const char *text, char ret[ETCD_REASON_LEN])
{
	/* As gRPC writes an error down, and as etcd does. */
	static const char grpc[] = "rpc error: code = ", description[] = " desc = ", etcd[] = "etcdserver: ";
	const char *at = strncmp(text, grpc, sizeof(grpc) - 1) ? NULL : strstr(text, description);

	_Static_assert(ETCD_REASON_LEN == ANSWER_REASON_LEN, "a line is cut to this length");
	if (at)
		text = at + sizeof(description) - 1;
	if (!strncmp(text, etcd, sizeof(etcd) - 1))
		text += sizeof(etcd) - 1;
	first_line(text, strlen(text), ret);
}

/* {"error": "...", "message", "code"}, and of a stream {"error": {"message", "grpc_code"}}. */
bool etcd_take_refusal(const json_t *object, struct etcd_refusal *ret)
{
	const json_t *error = json_object_get(object, "error"), *from = json_is_object(error) ? error : object;
	const char *text = json_string_value(json_object_get(from, "message"));
	const json_t *code = json_object_get(from, "grpc_code");

	*ret = (struct etcd_refusal){};
	if (!error && !json_object_get(object, "code"))
		return false;
	if (!code)
		code = json_object_get(from, "code");
	ret->code = (int)json_integer_value(code);
	if (!text)
		text = json_string_value(error);
	etcd_take_reason(text ? text : "it does not say why", ret->reason);
	return true;
}

static int take_kvs(const json_t *range, char **bytes, struct etcd_kv *kvs, size_t *ret_count)
{
	const json_t *list = json_object_get(range, "kvs"), *kv;
	size_t i;
	int err = list && !json_is_array(list) ? -EBADMSG : 0;

	*ret_count = json_array_size(list);
	json_array_foreach (list, i, kv) {
		if (!err)
			err = etcd_take_kv(kv, bytes, &kvs[i]);
	}
	return err;
}

static int take_answers(const json_t *list, char **bytes, struct etcd_kv *kvs, struct etcd_reply *ret)
{
	const json_t *response;
	size_t i;
	int err = 0;

	json_array_foreach (list, i, response) {
		const json_t *range = json_object_get(response, "response_range");
		struct etcd_answer *answer = &ret->answers[i];

		answer->kvs = kvs;
		if (!err)
			err = take_kvs(range, bytes, kvs, &answer->count);
		if (!err)
			err = etcd_take_number(json_object_get(response, "response_delete_range"), "deleted",
					       &answer->deleted);
		kvs += answer->count;
	}
	return err;
}

static size_t count_kvs(const json_t *reply)
{
	size_t count = json_array_size(json_object_get(reply, "kvs")), i;
	const json_t *response;

	json_array_foreach (json_object_get(reply, "responses"), i, response)
		count += json_array_size(json_object_get(json_object_get(response, "response_range"), "kvs"));
	return count;
}

static int take_numbers(const json_t *reply, struct etcd_reply *ret)
{
	__s64 leader = 0;
	int err = etcd_take_header(reply, &ret->cluster, &ret->revision);

	if (!err)
		err = etcd_take_number(reply, "leader", &leader);
	if (!err)
		err = etcd_take_number(reply, "count", &ret->count);
	if (!err)
		err = etcd_take_number(reply, "ID", &ret->lease);
	if (!err)
		err = etcd_take_number(reply, "TTL", &ret->ttl);
	ret->leader = (__u64)leader;
	ret->succeeded = json_is_true(json_object_get(reply, "succeeded"));
	ret->more = json_is_true(json_object_get(reply, "more"));
	return err;
}

static int take_reply(const json_t *reply, size_t len, struct etcd_reply *ret)
{
	const json_t *responses = json_object_get(reply, "responses"), *token = json_object_get(reply, "token");
	char *bytes;
	int err;

	ret->refused = etcd_take_refusal(reply, &ret->refusal);
	ret->answer_count = json_array_size(responses);
	/* All bytes are in the text, in more characters than they have with the zeros. */
	ret->bytes = bytes = malloc(len + 1);
	ret->kvs = calloc(count_kvs(reply) + 1, sizeof(*ret->kvs));
	ret->answers = calloc(ret->answer_count + 1, sizeof(*ret->answers));
	ret->token = token ? strdup(json_string_value(token) ?: "") : NULL;
	if (!ret->bytes || !ret->kvs || !ret->answers || (token && !ret->token))
		return -ENOMEM;
	err = take_numbers(reply, ret);
	if (!err)
		err = take_kvs(reply, &bytes, ret->kvs, &ret->kv_count);
	return err ? err : take_answers(responses, &bytes, ret->kvs + ret->kv_count, ret);
}

int etcd_reply_parse(const char *text, size_t len, struct etcd_reply *ret)
{
	json_t *json = json_loadb(text, len, 0, NULL);
	/* A stream's are one level deeper. */
	const json_t *result = json_object_get(json, "result");
	struct etcd_reply reply = {};
	int err = json_is_object(json) ? take_reply(result ? result : json, len, &reply) : -EBADMSG;

	json_decref(json);
	if (err)
		etcd_reply_clear(&reply);
	else
		*ret = reply;
	return err;
}

void etcd_reply_clear(struct etcd_reply *reply)
{
	if (reply->token)
		explicit_bzero(reply->token, strlen(reply->token));
	free(reply->token);
	free(reply->bytes);
	free(reply->kvs);
	free(reply->answers);
	*reply = (struct etcd_reply){};
}
