/* SPDX-License-Identifier: Apache-2.0 */
#include "io/etcd_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base64.h"

static json_t *bytes_json(const char *bytes, size_t len)
{
	char *text = malloc(BASE64_LEN(len));
	json_t *json = NULL;

	if (text) {
		base64_encode(bytes, len, text);
		json = json_string(text);
	}
	free(text);
	return json;
}

static json_t *number_json(__s64 number)
{
	return json_sprintf("%" PRId64, (int64_t)number);
}

/*
 * The first key behind all that begin with a prefix: its last byte is one more. Where there is none, and with "", a zero:
 * etcd's word for the end of all.
 */
static json_t *end_json(const char *prefix)
{
	size_t len = strlen(prefix);
	char *end = malloc(len + 1);
	json_t *json;

	if (!end)
		return NULL;
	memcpy(end, prefix, len + 1);
	while (len && (unsigned char)end[len - 1] == 0xff)
		len--;
	if (len)
		end[len - 1]++;
	json = bytes_json(len ? end : "", len ? len : 1);
	free(end);
	return json;
}

/* {"key", "range_end"}; the empty prefix begins at the first key there can be. */
static json_t *keys_json(const char *key, size_t len, const char *prefix)
{
	json_t *keys = json_pack("{s:o}", "key", bytes_json(key, len || !prefix ? len : 1));

	if (keys && prefix && json_object_set_new(keys, "range_end", end_json(prefix))) {
		json_decref(keys);
		return NULL;
	}
	return keys;
}

static char *dump(json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	return text;
}

char *etcd_range_json(const struct etcd_range_from *range)
{
	json_t *json = keys_json(range->key, range->key_len, range->prefix);
	json_t *rest = json_pack("{s:o, s:o, s:b}", "revision", number_json(range->revision), "limit",
				 number_json(range->limit), "keys_only", range->keys_only);

	if (!json || !rest || json_object_update(json, rest)) {
		json_decref(json);
		json = NULL;
	}
	json_decref(rest);
	return dump(json);
}

static json_t *compare_json(const struct etcd_compare *compare)
{
	/* etcd's words, and the member that holds what is compared with. */
	static const struct {
		const char *word, *member;
	} targets[] = {
#define X(NAME, member) [ETCD_##NAME] = {#NAME, #member},
		ETCD_TARGETS(X)
#undef X
	};
	static const char *const relations[] = {
#define X(NAME) [ETCD_##NAME] = #NAME,
		ETCD_RELATIONS(X)
#undef X
	};
	bool value = compare->target == ETCD_VALUE;

	return json_pack("{s:o, s:s, s:s, s:o}", "key", bytes_json(compare->key, strlen(compare->key)), "target",
			 targets[compare->target].word, "result", relations[compare->relation],
			 targets[compare->target].member,
			 value ? bytes_json(compare->value, strlen(compare->value)) : number_json(compare->number));
}

static json_t *operation_json(const struct etcd_operation *operation)
{
	const char *key = operation->key, *prefix = operation->prefix ? key : NULL;

	switch (operation->type) {
	case ETCD_PUT:
		return json_pack("{s:{s:o, s:o, s:o}}", "request_put", "key", bytes_json(key, strlen(key)), "value",
				 bytes_json(operation->value, strlen(operation->value)), "lease",
				 number_json(operation->lease));
	case ETCD_DELETE:
		return json_pack("{s:o}", "request_delete_range", keys_json(key, strlen(key), prefix));
	default:
		return json_pack("{s:o}", "request_range", keys_json(key, strlen(key), prefix));
	}
}

static json_t *operations_json(const struct etcd_operation *operations, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < count; i++) {
		if (json_array_append_new(list, operation_json(&operations[i]))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

char *etcd_txn_json(const struct etcd_txn *txn)
{
	json_t *compares = json_array();

	for (size_t i = 0; compares && i < txn->compare_count; i++) {
		if (json_array_append_new(compares, compare_json(&txn->compares[i]))) {
			json_decref(compares);
			compares = NULL;
		}
	}
	return dump(json_pack("{s:o, s:o, s:o}", "compare", compares, "success",
			      operations_json(txn->then, txn->then_count), "failure",
			      operations_json(txn->otherwise, txn->otherwise_count)));
}

char *etcd_lease_json(__s64 lease)
{
	return dump(json_pack("{s:o}", "ID", number_json(lease)));
}

char *etcd_grant_json(__s64 ttl)
{
	return dump(json_pack("{s:o}", "TTL", number_json(ttl)));
}

char *etcd_watch_json(const char *prefix, __s64 revision)
{
	json_t *create = keys_json(prefix, strlen(prefix), prefix);
	json_t *rest = json_pack("{s:o, s:b, s:b}", "start_revision", number_json(revision), "progress_notify", 1,
				 "fragment", 1);

	if (!create || !rest || json_object_update(create, rest)) {
		json_decref(create);
		create = NULL;
	}
	json_decref(rest);
	return create ? dump(json_pack("{s:o}", "create_request", create)) : NULL;
}

char *etcd_login_json(const char *user, const char *password)
{
	return dump(json_pack("{s:s, s:s}", "name", user, "password", password));
}
