/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl capture */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/capture.h"
#include "cli/change.h"
#include "cli/output.h"
#include "cli/view.h"
#include "core/text.h"
#include "io/pcapng.h"
#include "ops/clock.h"

enum {
	DEFAULT_RATE = 1000,
	MAX_RATE = 100000,
	MAX_SAMPLE = 1000000,
	MIN_SNAPLEN = 64, /* a line needs the headers up to TCP's flags */
	LINE_SNAPLEN = 128, /* without a file more is of no use: two tags, IPv6 and some of its extension headers */
	MAX_COUNT = 1000000000,
	MAX_DURATION = 24 * 3600,
	FILE_MODE = 0600,
	BUFFER_BYTES = 65536, /* of a file: so much is never kept back, or a write would end within a packet */
	KEPT_BYTES = 16384, /* ... as it is written when there are more, up to one packet, as it came and left */
	STOP = 1, /* the callback's: enough */
};

static volatile sig_atomic_t interrupted;

static void note_interrupt(int signal)
{
	(void)signal;
	interrupted = 1;
}

/* What is written, and to where. */
struct recorder {
	const struct cli *cli;
	const char *path; /* NULL: lines on stdout */
	FILE *file; /* NULL: the same */
	unsigned snaplen;
	unsigned count; /* packets to take; 0: no end */
	__u64 taken;
	__u64 missing; /* of those that were wanted: how many, when it was asked last ... */
	__u64 dropped; /* ... and how many of them the file does not tell yet */
	struct capture *capture;
	char (*interfaces)[16]; /* in the file, by number */
	unsigned interface_count;
	int failed; /* -errno of writing */
	off_t whole; /* so much of a file is written, and ends with a packet that is all there */
};

static int parse_number(const struct cli *cli, enum cli_option option, unsigned min, unsigned max, unsigned *ret,
			struct error *error)
{
	const char *text = cli->values[option];

	if (text && parse_unsigned(text, min, max, ret))
		return fail(error, CLI_USAGE, "--%s is %u to %u, not \"%s\"", cli_options[option].name, min, max, text);
	return 0;
}

static int parse_selection(const struct cli *cli, struct capture_request *ret, struct error *error)
{
	const char *text = cli->values[OPT_COHORT];
	enum canary_cohort cohort;
	bool all = !text || !strcmp(text, "all");

	ret->service = cli->argument_count ? cli->arguments[0] : NULL;
	ret->unmatched = cli->values[OPT_UNMATCHED];
	if (!all && parse_cohort(text, &cohort))
		return fail(error, CLI_USAGE, "--cohort is stable, canary or all, not \"%s\"", text);
	ret->cohort = all ? CANARY_CAPTURE_ANY : cohort;
	if (ret->unmatched && (ret->service || !all))
		return fail(error, CLI_USAGE, "--unmatched is for packets that belong to no service: leave %s out",
			    ret->service ? "the service" : "--cohort");
	return 0;
}

static int parse_request(const struct cli *cli, struct capture_request *ret, unsigned *ret_count, unsigned *ret_seconds,
			 struct error *error)
{
	const char *duration = cli->values[OPT_DURATION];
	int code = parse_selection(cli, ret, error);

	ret->sample = 1;
	ret->snaplen = cli->values[OPT_WRITE] ? CANARY_CAPTURE_SNAPLEN : LINE_SNAPLEN;
	ret->rate = DEFAULT_RATE;
	if (!code)
		code = parse_number(cli, OPT_SAMPLE, 1, MAX_SAMPLE, &ret->sample, error);
	if (!code)
		code = parse_number(cli, OPT_SNAPLEN, MIN_SNAPLEN, CANARY_CAPTURE_SNAPLEN, &ret->snaplen, error);
	if (!code)
		code = parse_number(cli, OPT_MAX_RATE, CANARY_CAPTURE_TICKS, MAX_RATE, &ret->rate, error);
	if (!code)
		code = parse_number(cli, OPT_COUNT, 1, MAX_COUNT, ret_count, error);
	if (!code && duration && parse_duration(duration, 1, MAX_DURATION, ret_seconds))
		code = fail(error, CLI_USAGE, "--duration is 1s to 24h, not \"%s\"", duration);
	return code;
}

/* The number of an interface in the file, where it is put when it is first met. */
static int file_interface(struct recorder *recorder, const char *name, unsigned *ret)
{
	int err;

	for (*ret = 0; *ret < recorder->interface_count; ++*ret)
		if (!strcmp(recorder->interfaces[*ret], name))
			return 0;
	err = pcapng_add_interface(recorder->file, name, "XDP, by canaryctl", recorder->snaplen);
	if (err)
		return err;
	recorder->interfaces = must(reallocarray(recorder->interfaces, *ret + 1, sizeof(*recorder->interfaces)));
	snprintf(recorder->interfaces[recorder->interface_count++], sizeof(*recorder->interfaces), "%s", name);
	return 0;
}

/* How many of the wanted ones are missing: once for many packets, as each CPU is asked. The next packet in the file tells it. */
static void note_missing(struct recorder *recorder)
{
	__u64 counts[CANARY_CAPTURE_COUNTS], missing;

	capture_counts(recorder->capture, counts);
	missing = counts[CANARY_CAPTURE_LIMITED] + counts[CANARY_CAPTURE_LOST];
	recorder->dropped += missing - recorder->missing;
	recorder->missing = missing;
}

/* As it came, and where it was sent on also as it left: two packets with one number and one comment. */
static int write_packet(struct recorder *recorder, const struct capture_packet *packet, const char *comment)
{
	const struct canary_captured *what = &packet->what;
	struct pcapng_packet out = {.time_ns = clock_wall_ns(what->time_ns),
				    .frame = packet->came,
				    .captured = what->captured,
				    .length = what->length,
				    .direction = PCAPNG_INBOUND,
				    .id = recorder->taken,
				    .dropped = recorder->dropped,
				    .verdict = what->action,
				    .comment = comment};
	int err = file_interface(recorder, packet->interface, &out.interface);

	recorder->dropped = 0;
	if (!err)
		err = pcapng_add_packet(recorder->file, &out);
	if (err || !what->left_captured)
		return err;
	out.frame = packet->left;
	out.captured = what->left_captured;
	out.length = what->left_length;
	out.direction = PCAPNG_OUTBOUND;
	out.dropped = 0;
	err = file_interface(recorder, packet->egress, &out.interface);
	return err ? err : pcapng_add_packet(recorder->file, &out);
}

/* What has been recorded gets to whoever waits for it. False: it cannot be written, or he has gone, as one may at any time. */
static bool flush(struct recorder *recorder)
{
	struct pollfd out = {.fd = STDOUT_FILENO};

	if (recorder->file && recorder->file != stdout) {
		if (fflush(recorder->file) && !recorder->failed)
			recorder->failed = -errno;
		if (!recorder->failed)
			recorder->whole = ftello(recorder->file);
		return !recorder->failed;
	}
	poll(&out, 1, 0);
	return output_flush() && !(out.revents & (POLLERR | POLLHUP));
}

static void record_in_file(struct recorder *recorder, const struct capture_packet *packet, const char *comment)
{
	recorder->failed = write_packet(recorder, packet, comment);
	if (!recorder->failed && ftello(recorder->file) - recorder->whole > KEPT_BYTES)
		flush(recorder);
}

static int record(const struct capture_packet *packet, void *arg)
{
	struct recorder *recorder = arg;
	json_t *view = view_captured(packet);
	char comment[CAPTURE_COMMENT_LEN];

	recorder->taken++;
	if (recorder->file)
		record_in_file(recorder, packet, format_captured(view, comment));
	else if (recorder->cli->json)
		print_json(json_incref(view));
	else
		print_captured(recorder->cli, view);
	json_decref(view);
	return recorder->failed || recorder->taken == recorder->count ? STOP : 0;
}

static int refuse_writing(const struct recorder *recorder, int code, struct error *error)
{
	return fail(error, code, "cannot write %s: %s", recorder->path, strerror(-code));
}

/* An older file is overwritten, as tcpdump does; it holds what people sent to each other: for nobody else to read. */
static int open_file(struct recorder *recorder, struct error *error)
{
	bool to_stdout = !strcmp(recorder->path, "-");
	struct stat info;
	int fd, err;

	if (to_stdout && isatty(STDOUT_FILENO))
		return fail(error, -EINVAL, "-w - writes to stdout, which is a terminal: pipe it to 'tcpdump -r -'");
	fd = to_stdout ? STDOUT_FILENO
		       : open(recorder->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, FILE_MODE);
	if (fd < 0)
		return refuse_writing(recorder, -errno, error);
	if (!to_stdout && !fstat(fd, &info) && S_ISREG(info.st_mode) && fchmod(fd, FILE_MODE)) {
		err = -errno;
		close(fd);
		return refuse_writing(recorder, err, error);
	}
	recorder->file = to_stdout ? stdout : must(fdopen(fd, "w"));
	if (!to_stdout)
		setvbuf(recorder->file, NULL, _IOFBF, BUFFER_BYTES);
	err = pcapng_begin(recorder->file, "canaryctl " CANARY_VERSION);
	return err ? refuse_writing(recorder, err, error) : 0;
}

static int close_file(struct recorder *recorder, struct error *error)
{
	int err = 0;

	if (recorder->file && recorder->file != stdout && fclose(recorder->file))
		err = refuse_writing(recorder, -errno, error);
	recorder->file = NULL;
	free(recorder->interfaces);
	return err;
}

/* Where no more could be written, a part of a packet would be at the file's end, which readers stumble over: a full disk. */
static void close_cut_off(struct recorder *recorder)
{
	int fd = recorder->file && recorder->file != stdout ? dup(fileno(recorder->file)) : -1;
	struct stat info;

	/* This may write again, part of what is kept back. */
	close_file(recorder, &(struct error){});
	if (fd < 0)
		return;
	if (!fstat(fd, &info) && S_ISREG(info.st_mode) && ftruncate(fd, recorder->whole))
		print_warning(recorder->cli, "%s ends in the middle of a packet", recorder->path);
	close(fd);
}

/* Until it is enough, or the time is up, or somebody interrupts. */
static int record_all(struct recorder *recorder, unsigned seconds, struct error *error)
{
	__u64 end = clock_monotonic_ns() + seconds * 1000000000ULL;
	int result = 0;

	while (!result && !interrupted && flush(recorder) && (!seconds || clock_monotonic_ns() < end)) {
		note_missing(recorder);
		result = capture_read(recorder->capture, record, recorder, error);
	}
	/* What came since the last look, before somebody had enough: at most a tick's. */
	if (interrupted && !result)
		result = capture_read(recorder->capture, record, recorder, error);
	flush(recorder);
	if (recorder->failed == -EPIPE)
		return 0;
	if (recorder->failed)
		return refuse_writing(recorder, recorder->failed, error);
	return result < 0 ? result : 0;
}

/* On stderr, as stdout may be the capture. Takes the reference. */
static void print_note(json_t *note)
{
	json_dumpf(note, stderr, JSON_COMPACT);
	json_decref(note);
	fputc('\n', stderr);
}

/* From now on packets are captured: who waits for that sees it here. A file has those interfaces, if no packet comes. */
static int print_beginning(struct recorder *recorder, const struct interface *interfaces, size_t count)
{
	json_t *names = json_array(), *name;
	unsigned number;
	size_t i;
	int err = 0;

	for (i = 0; !err && i < count; i++) {
		json_array_append_new(names, json_text(interfaces[i].name));
		if (recorder->file)
			err = file_interface(recorder, interfaces[i].name, &number);
	}
	if (recorder->cli->json) {
		print_note(json_pack("{s:O}", "capturing", names));
	} else {
		fputs("capturing on", stderr);
		json_array_foreach (names, i, name)
			fprintf(stderr, " %s", json_string_value(name));
		fputs("; ^C ends it\n", stderr);
	}
	json_decref(names);
	return err;
}

static void print_summary(const struct recorder *recorder)
{
	__u64 counts[CANARY_CAPTURE_COUNTS];

	capture_counts(recorder->capture, counts);
	if (recorder->cli->json) {
		json_t *summary = json_pack("{s:I}", "captured", (json_int_t)recorder->taken);
#define X(NAME, name, help)                                                                                            \
	json_object_set_new(summary, #name, json_integer((json_int_t)counts[CANARY_CAPTURE_##NAME]));
		CANARY_CAPTURE_COUNT_LIST(X)
#undef X
		print_note(summary);
		return;
	}
	fprintf(stderr,
		"%llu captured of %llu packets seen; left out: %llu above --max-rate, %llu lost as they came too fast "
		"to be read, %llu not looked at, above %d a second on a CPU\n",
		(unsigned long long)recorder->taken, (unsigned long long)counts[CANARY_CAPTURE_SEEN],
		(unsigned long long)counts[CANARY_CAPTURE_LIMITED], (unsigned long long)counts[CANARY_CAPTURE_LOST],
		(unsigned long long)counts[CANARY_CAPTURE_UNLOOKED], CANARY_CAPTURE_LOOKS * CANARY_CAPTURE_TICKS);
}

static int begin(struct recorder *recorder, struct dataplane *dataplane, struct error *error)
{
	struct interface *interfaces;
	size_t count;
	int err = recorder->path ? open_file(recorder, error) : 0;

	if (!err)
		err = list_interfaces(dataplane, &interfaces, &count, error);
	if (err)
		return err;
	err = print_beginning(recorder, interfaces, count);
	free(interfaces);
	return err ? refuse_writing(recorder, err, error) : 0;
}

static int capture(struct recorder *recorder, struct dataplane *dataplane, const struct capture_request *request,
		   unsigned seconds, struct error *error)
{
	int err = capture_open(dataplane, request, &recorder->capture, error);

	if (err)
		return err;
	/* A file that is there stays as it is where nothing could be begun. */
	err = begin(recorder, dataplane, error);
	if (!err) {
		err = record_all(recorder, seconds, error);
		print_summary(recorder);
	}
	capture_close(recorder->capture);
	if (!err)
		return close_file(recorder, error);
	close_cut_off(recorder);
	return err;
}

int cmd_capture(const struct cli *cli, struct error *error)
{
	struct recorder recorder = {.cli = cli, .path = cli->values[OPT_WRITE]};
	struct capture_request request = {};
	struct dataplane *dataplane;
	unsigned seconds = 0;
	int err = parse_request(cli, &request, &recorder.count, &seconds, error);

	if (err)
		return err;
	recorder.snaplen = request.snaplen;
	/* Without SA_RESTART: a write that waits for its reader ends as well. */
	sigaction(SIGINT, &(struct sigaction){.sa_handler = note_interrupt}, NULL);
	sigaction(SIGTERM, &(struct sigaction){.sa_handler = note_interrupt}, NULL);
	err = dataplane_open(cli->dir, DATAPLANE_READ, &dataplane, error);
	if (err)
		return CLI_FAILED;
	err = capture(&recorder, dataplane, &request, seconds, error);
	dataplane_close(dataplane);
	return err ? CLI_FAILED : CLI_DONE;
}
