/* SPDX-License-Identifier: Apache-2.0 */
/* canaryd: the options, and main(). */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/daemon.h"
#include "daemon/log.h"
#include "dataplane/dataplane.h"
#include "io/config.h"
#include "io/descriptors.h"
#include "io/etcd.h"
#include "io/privileges.h"

enum { EXIT_USAGE = 2 };

/* X(long name, letter, value or "", help): the order is the help's. */
#define OPTIONS(X)                                                                                                     \
	X("file", 'f', "FILE", "the configuration (/etc/canary/canary.yaml)")                                          \
	X("state-dir", 's', "DIR", "where the history is kept (/var/lib/canary)")                                      \
	X("socket", 'S', "PATH", "where canaryctl finds us (CANARYD_SOCKET, or /run/canary/canaryd.sock)")             \
	X("listen", 'l', "ADDRESS:PORT",                                                                               \
	  "an address to take feedback on, and to show where rollouts are (:PORT: 127.0.0.1)")                         \
	X("token-file", 't', "FILE", "tokens of those who may write on that address (none: nobody may)")               \
	X("host", 'H', "NAME", "a name of this host by which it may be asked there; several times for several")        \
	X("bpffs", 'b', "DIR", "where the data plane is pinned (CANARYCTL_BPFFS, or " DATAPLANE_DEFAULT_DIR ")")       \
	X("key-file", 'k', "FILE", "keys of the hashes (CANARYCTL_KEY_FILE, or " DATAPLANE_DEFAULT_KEY_FILE ")")       \
	X("check", 'c', "", "check the configuration, tokens, keys and passwords, and do nothing else")                \
	X("help", 'h', "", "this text")                                                                                \
	X("version", 'V', "", "the version")

static void print_help(void)
{
	puts("canaryd: walks rollouts of services through their plans, watches them, promotes and rolls back.\n\n"
	     "  canaryd [OPTION...]\n");
#define X(name, letter, value, help) printf("  -%c, --%s %-*s %s\n", letter, name, 22 - (int)sizeof(name), value, help);
	OPTIONS(X)
#undef X
	puts("\nSIGHUP: reads the configuration again. canaryctl rollout is how to ask it for something.");
}

static const char *from_environment(const char *name, const char *otherwise)
{
	const char *value = getenv(name);

	return value && *value ? value : otherwise;
}

static bool add_host(struct daemon_options *options, const char *name)
{
	size_t count = 0;

	while (options->hosts[count])
		count++;
	if (count < DAEMON_HOSTS_MAX)
		options->hosts[count] = name;
	else
		fprintf(stderr, "canaryd: --host is given more than %d times\n", DAEMON_HOSTS_MAX);
	return count < DAEMON_HOSTS_MAX;
}

/* What the options say. -1: go on; else the exit code. */
static int parse(int argc, char **argv, struct daemon_options *options, bool *ret_check)
{
	static const struct option known[] = {
#define X(name, letter, value, help) {name, sizeof(value) > 1 ? required_argument : no_argument, NULL, letter},
		OPTIONS(X)
#undef X
			{},
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "f:s:S:l:t:H:b:k:chV", known, NULL)) != -1) {
		switch (letter) {
		case 'f':
			options->file = optarg;
			break;
		case 's':
			options->state_dir = optarg;
			break;
		case 'S':
			options->socket = optarg;
			break;
		case 'l':
			options->listen = optarg;
			break;
		case 't':
			options->token_file = optarg;
			break;
		case 'H':
			if (!add_host(options, optarg))
				return EXIT_USAGE;
			break;
		case 'b':
			options->instance.dir = optarg;
			break;
		case 'k':
			options->instance.key_file = optarg;
			break;
		case 'c':
			*ret_check = true;
			break;
		case 'h':
			print_help();
			return EXIT_SUCCESS;
		case 'V':
			puts("canaryd " CANARY_VERSION);
			return EXIT_SUCCESS;
		default:
			fputs("canaryd: see canaryd --help\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "canaryd: there are no arguments, but \"%s\" is given: see canaryd --help\n",
			argv[optind]);
		return EXIT_USAGE;
	}
	return -1;
}

static int check(const struct daemon_options *options)
{
	struct http_tokens tokens = {};
	struct model model = {};
	struct error error;
	int err = config_load(options->file, &model, &error);

	if (!err && options->token_file)
		err = http_tokens_load(options->token_file, &tokens, &error);
	if (!err && model.fleet)
		err = etcd_check_files(&model.fleet->etcd, &error);
	http_tokens_clear(&tokens);
	if (err) {
		log_error("%s", error.text);
		model_free(&model);
		return EXIT_FAILURE;
	}
	printf("%s: %zu service%s, ok\n", options->file, model.service_count, model.service_count == 1 ? "" : "s");
	model_free(&model);
	return EXIT_SUCCESS;
}

static int serve(const struct daemon_options *options)
{
	struct daemon daemon;
	struct error error;
	int err;

	descriptors_raise();
	/* Before anything is read that somebody else may have written. */
	if (privileges_drop(DAEMON_GROUP, options->state_dir, &error)) {
		log_error("%s", error.text);
		return EXIT_FAILURE;
	}
	dataplane_use_key_file(options->instance.key_file);
	err = daemon_open(&daemon, options, &error);
	if (!err)
		err = daemon_run(&daemon, &error);
	if (err)
		log_error("%s", error.text);
	daemon_close(&daemon);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct daemon_options options = {
		.file = "/etc/canary/canary.yaml",
		.state_dir = "/var/lib/canary",
		.socket = from_environment("CANARYD_SOCKET", "/run/canary/canaryd.sock"),
		.instance = {from_environment("CANARYCTL_BPFFS", DATAPLANE_DEFAULT_DIR),
			     from_environment("CANARYCTL_KEY_FILE", DATAPLANE_DEFAULT_KEY_FILE)},
	};
	bool only_check = false;
	int code = parse(argc, argv, &options, &only_check);

	if (code >= 0)
		return code;
	return only_check ? check(&options) : serve(&options);
}
