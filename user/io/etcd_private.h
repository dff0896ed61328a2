/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the client of etcd share: etcd.c (its life), etcd_member.c, etcd_call.c, etcd_watch.c. */
#ifndef IO_ETCD_PRIVATE_H
#define IO_ETCD_PRIVATE_H

#include "io/etcd_feed.h"
#include "io/etcd_json.h"
#include "io/http_client.h"
#include "io/watch.h"

/*
 * ms. A member that does not answer a small question within an attempt is left. It is asked one when it has been silent for
 * so long, or a call has taken so long: that alone may be the call's fault.
 */
#define ETCD_ATTEMPT_MS 2000
#define ETCD_SILENCE_MS 5000
#define ETCD_SLOW_MS 1000

enum etcd_stage {
	ETCD_RESTING, /* until rest_until */
	ETCD_GREETING, /* asks the member who it is */
	ETCD_LOGGING_IN,
	ETCD_CONNECTED,
};

/* Why a member cannot be used: what is said of one tells more than what is said of others. */
enum etcd_weight {
	ETCD_SILENT, /* it cannot be reached, or does not answer */
	ETCD_USELESS, /* it answers so */
	ETCD_FOREIGN,
};

struct etcd {
	struct watch watch;
	struct http_client *http;
	struct etcd_settings settings;
	struct http_tls tls;
	etcd_changed *changed;
	void *arg;
	__u64 cluster; /* 0: not known yet */
	__s64 revision; /* the highest that was heard of: the store cannot be at an earlier one */

	enum etcd_stage stage;
	size_t member; /* of the settings' */
	unsigned turn; /* rises when a member is left: what was asked before says nothing of this one */
	size_t failed; /* members in a row */
	unsigned rest; /* ms, the next time */
	__s64 rest_until;
	struct http_transfer *transfer; /* greeting, login */
	char *authorization; /* a header, or NULL */
	unsigned login; /* rises with every login */
	__s64 connected_ms;
	__s64 probe_due; /* it has been silent for long */
	bool probing;
	/* Why members could not be used, in this round of them: the weightiest. */
	struct error why;
	enum etcd_weight weight;
	struct error told;

	bool again; /* etcd_wake() was called */
	struct etcd_call *calls; /* the oldest first */
	size_t call_count;
	struct etcd_watch *watches;
};

/* What a refusal means for who asked. */
enum etcd_verdict {
	ETCD_REFUSED, /* that is the answer */
	ETCD_LOGIN_OVER, /* it was not done: who we are is no longer known */
	ETCD_ELSEWHERE, /* it was not done: this member cannot */
	ETCD_UNSURE, /* this member cannot say whether it was done */
};
enum etcd_verdict etcd_judge(const struct etcd_refusal *refusal, int *ret_error);

/* etcd.c: runs again at once. */
void etcd_wake(struct etcd *etcd);

/* etcd_member.c */
const char *etcd_url(const struct etcd *etcd); /* of the member */
/* A POST to the member, as http_client_start(). */
int etcd_post(struct etcd *etcd, const char *path, struct http_request *request, http_done *done, void *arg,
	      struct http_transfer **ret, struct error *error);
void etcd_member_run(struct etcd *etcd); /* begins with the next one when it is time to */
/* The member answered. */
void etcd_heard(struct etcd *etcd);
/* It cannot be used (a sentence): another one is taken. */
__attribute__((format(printf, 2, 3))) void etcd_leave(struct etcd *etcd, const char *format, ...);
/* The same, by what came of a request to it. */
void etcd_leave_after(struct etcd *etcd, const struct http_result *result);
/* false: an answer is of another cluster, and the member is left. */
bool etcd_is_ours(struct etcd *etcd, __u64 cluster);
void etcd_login_again(struct etcd *etcd);
/* What an answer says of the store's revision, which cannot be below `floor`, unless the store has gone back. */
void etcd_note_revision(struct etcd *etcd, __s64 floor, __s64 revision);

/* etcd_call.c */
void etcd_calls_run(struct etcd *etcd);
__s64 etcd_calls_due(const struct etcd *etcd); /* the next deadline; INT64_MAX: none */
void etcd_calls_leave(struct etcd *etcd); /* what may be asked twice is asked elsewhere */
void etcd_calls_close(struct etcd *etcd);
/* Asks the member for something, to hear of it. */
void etcd_probe(struct etcd *etcd, const char *key);

/* etcd_watch.c */
void etcd_watches_run(struct etcd *etcd);
__s64 etcd_watches_due(const struct etcd *etcd);
void etcd_watches_leave(struct etcd *etcd); /* they go on elsewhere */
void etcd_watches_went_back(struct etcd *etcd, __s64 revision); /* the store is at an earlier one */
void etcd_watches_close(struct etcd *etcd);

#endif
