/* SPDX-License-Identifier: Apache-2.0 */
/* One GET over a connection of health_syn.c: as much of TCP as a request in one segment and its status line need. */
#include <stdio.h>
#include <string.h>

#include "core/text.h"
#include "io/health_private.h"

#define HTTP_PORT 80

size_t health_get_write(const struct health_target *target, const struct health_check *check, char ret[FRAME_MSS + 1])
{
	int port = health_port(target, check), len;
	char endpoint[ADDR_TEXT_LEN];

	format_endpoint(&target->address, port, endpoint);
	if (port == HTTP_PORT)
		*strrchr(endpoint, ':') = '\0';
	len = snprintf(ret, FRAME_MSS + 1,
		       "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: canaryd/" CANARY_VERSION
		       "\r\nAccept: */*\r\nConnection: close\r\n\r\n",
		       check->path ? check->path : "/", check->host ? check->host : endpoint);
	return (size_t)len;
}

static int send_request(struct health_probe *probe)
{
	struct health_syn *syn = &probe->syn;
	char text[FRAME_MSS + 1];
	struct frame frame = {.sequence = syn->isn + 1,
			      .acknowledged = syn->expected,
			      .flags = FRAME_PSH | FRAME_ACK,
			      .data = (const __u8 *)text};

	syn->request_len = frame.len = health_get_write(&probe->target, &probe->check, text);
	return health_syn_send(probe, &frame);
}

void health_get_start(struct health_probe *probe, const struct frame *accepted)
{
	int error;

	probe->syn.expected = accepted->sequence + 1;
	error = send_request(probe);
	if (error)
		health_finish_errno(probe, error, "cannot send to it");
	else
		probe->syn.sent = clock_ms();
}

void health_get_again(struct health_probe *probe)
{
	/* One that has arrived is not lost, and its answer is the backend's to send again. */
	if (probe->syn.acknowledged != probe->syn.isn + 1 + (__u32)probe->syn.request_len)
		send_request(probe);
}

/* What is new in the segment; NULL: it comes too early, or has nothing. */
static const __u8 *new_data(struct health_syn *syn, const struct frame *frame, size_t *ret_len)
{
	__u32 known = syn->expected - frame->sequence;

	if (known > frame->len)
		return NULL;
	*ret_len = frame->len - known;
	syn->expected += (__u32)*ret_len;
	return frame->data ? frame->data + known : NULL;
}

/* Also of what came too early or twice: else the backend sends it again, but not what is missing. */
static void acknowledge(struct health_probe *probe)
{
	const struct health_syn *syn = &probe->syn;

	health_syn_send(
		probe,
		&(struct frame){.sequence = syn->acknowledged, .acknowledged = syn->expected, .flags = FRAME_ACK});
}

static void finish(struct health_probe *probe, enum status_found found)
{
	health_syn_stop(probe);
	if (found == STATUS_FOUND)
		health_finish_status(probe, probe->syn.status.status);
	else if (found == STATUS_IS_NOT_HTTP)
		health_finish(probe, HEALTH_BAD, "it does not answer in HTTP/1");
	else
		health_finish(probe, HEALTH_BAD, "it ends the connection without an answer");
}

void health_get_receive(struct health_probe *probe, const struct frame *frame)
{
	struct health_syn *syn = &probe->syn;
	enum status_found found = STATUS_NEEDS_MORE;
	const __u8 *data;
	size_t len;

	if (frame->flags & FRAME_RST) {
		health_finish(probe, HEALTH_BAD, "it ends the connection without an answer");
		return;
	}
	if (frame->flags & FRAME_SYN || !(frame->flags & FRAME_ACK))
		return;
	if (frame->acknowledged - syn->isn > syn->acknowledged - syn->isn)
		syn->acknowledged = frame->acknowledged;
	data = new_data(syn, frame, &len);
	if (data)
		found = status_read(&syn->status, data, len);
	if (found != STATUS_NEEDS_MORE ||
	    (frame->flags & FRAME_FIN && frame->sequence + (__u32)frame->len == syn->expected))
		finish(probe, found);
	else if (frame->len)
		acknowledge(probe);
}
