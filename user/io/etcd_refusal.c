/* SPDX-License-Identifier: Apache-2.0 */
/* What etcd refuses with, by gRPC's code and etcd's words (its rpctypes/error.go), and what that means for who asked. */
#include <errno.h>
#include <string.h>

#include "io/etcd_private.h"

enum {
	CANCELLED = 1,
	UNKNOWN = 2,
	INVALID_ARGUMENT = 3,
	DEADLINE_EXCEEDED = 4,
	NOT_FOUND = 5,
	PERMISSION_DENIED = 7,
	RESOURCE_EXHAUSTED = 8,
	OUT_OF_RANGE = 11,
	INTERNAL = 13,
	UNAVAILABLE = 14,
	DATA_LOSS = 15,
	UNAUTHENTICATED = 16,
};

enum etcd_verdict etcd_judge(const struct etcd_refusal *refusal, int *ret_error)
{
	/* The first that fits; words NULL: any. */
	static const struct {
		int code;
		const char *words;
		enum etcd_verdict verdict;
		int error;
	} cases[] = {
		{UNAUTHENTICATED, NULL, ETCD_LOGIN_OVER, -EACCES},
		{INVALID_ARGUMENT, "revision of auth store is old", ETCD_LOGIN_OVER, -EACCES},
		{INVALID_ARGUMENT, "user name is empty", ETCD_LOGIN_OVER, -EACCES},
		{PERMISSION_DENIED, NULL, ETCD_REFUSED, -EACCES},
		/* Said before anything is done. */
		{UNAVAILABLE, "no leader", ETCD_ELSEWHERE, -ETIMEDOUT},
		{RESOURCE_EXHAUSTED, "too many requests", ETCD_ELSEWHERE, -ETIMEDOUT},
		{UNAVAILABLE, NULL, ETCD_UNSURE, -ETIMEDOUT},
		{CANCELLED, NULL, ETCD_UNSURE, -ETIMEDOUT},
		{DEADLINE_EXCEEDED, NULL, ETCD_UNSURE, -ETIMEDOUT},
		{UNKNOWN, NULL, ETCD_UNSURE, -ETIMEDOUT},
		{INTERNAL, NULL, ETCD_UNSURE, -ETIMEDOUT},
		{DATA_LOSS, NULL, ETCD_UNSURE, -ETIMEDOUT},
		{OUT_OF_RANGE, "compacted", ETCD_REFUSED, -ESTALE},
		{OUT_OF_RANGE, "future revision", ETCD_REFUSED, -ERANGE},
		{NOT_FOUND, "lease not found", ETCD_REFUSED, -ENOENT},
		{RESOURCE_EXHAUSTED, "database space exceeded", ETCD_REFUSED, -ENOSPC},
		{RESOURCE_EXHAUSTED, NULL, ETCD_REFUSED, -EMSGSIZE},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cases[i].code != refusal->code || (cases[i].words && !strstr(refusal->reason, cases[i].words)))
			continue;
		*ret_error = cases[i].error;
		return cases[i].verdict;
	}
	*ret_error = -EREMOTEIO;
	return ETCD_REFUSED;
}
