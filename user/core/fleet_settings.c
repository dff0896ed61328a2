/* SPDX-License-Identifier: Apache-2.0 */
#include "core/fleet_settings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/text.h"

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define HOST_MAX 253 /* RFC 1035, without the root's dot */
#define LABEL_MAX 63

static const char http[] = "http://", https[] = "https://";

__attribute__((format(printf, 3, 4))) static int refuse(struct problem *problem, const char *path, const char *format,
							...)
{
	va_list args;

	snprintf(problem->path, sizeof(problem->path), "%s", path);
	va_start(args, format);
	vsnprintf(problem->text, sizeof(problem->text), format, args);
	va_end(args);
	return -EINVAL;
}

/* Labels of letters, digits and hyphens, with dots between (RFC 1123, section 2.1). */
static bool is_host_name(const char *text)
{
	if (!*text || strlen(text) > HOST_MAX)
		return false;
	for (;; text++) {
		size_t len = strspn(text, LETTERS DIGITS "-");

		if (!len || len > LABEL_MAX || text[0] == '-' || text[len - 1] == '-')
			return false;
		text += len;
		if (*text != '.')
			return !*text;
	}
}

static bool is_host(const char *text)
{
	struct canary_addr addr;

	/* What is all digits and dots is an address, or a mistake in one. */
	return text[strspn(text, DIGITS ".")] ? is_host_name(text) : !parse_addr(text, &addr);
}

/* "HOST:PORT", "[ADDRESS]:PORT", and nothing behind it. */
static bool is_host_and_port(const char *text)
{
	const char *colon = strrchr(text, ':');
	char host[ETCD_URL_LEN];
	struct canary_addr addr;
	size_t len;
	int port;

	if (!colon || parse_port(colon + 1, &port) || !port)
		return false;
	len = (size_t)(colon - text);
	snprintf(host, sizeof(host), "%.*s", (int)len, text);
	if (host[0] != '[' || host[len - 1] != ']')
		return is_host(host);
	host[len - 1] = '\0';
	return strchr(host, ':') && !parse_addr(host + 1, &addr);
}

static bool begins_with(const char *text, const char *beginning)
{
	return !strncmp(text, beginning, strlen(beginning));
}

static int check_endpoints(const struct etcd_settings *etcd, struct problem *problem)
{
	bool secure = begins_with(etcd->endpoints[0], https);
	char path[32] = "etcd";

	if (!etcd->endpoint_count)
		return refuse(problem, path, "it names nobody: give the URLs of etcd's members");
	for (size_t i = 0; i < etcd->endpoint_count; i++) {
		const char *url = etcd->endpoints[i], *scheme = secure ? https : http;

		snprintf(path, sizeof(path), "etcd[%zu]", i);
		if (i && !begins_with(url, scheme) && (begins_with(url, http) || begins_with(url, https)))
			return refuse(problem, path, "the first one is %s…, and '%s' is not: give them all alike",
				      scheme, url);
		if (!begins_with(url, scheme) || !is_host_and_port(url + strlen(scheme)))
			return refuse(problem, path,
				      "'%s' is not a member's URL: give it like https://10.0.0.1:2379 or "
				      "https://etcd1.example:2379, with its port and nothing behind that",
				      url);
		for (size_t j = 0; j < i; j++)
			if (!strcmp(url, etcd->endpoints[j]))
				return refuse(problem, path, "'%s' is there twice: leave one out", url);
	}
	return 0;
}

/* It may be read long after, from another directory. */
static int check_file(const char *name, const char *path, struct problem *problem)
{
	return name[0] && name[0] != '/'
		       ? refuse(problem, path, "'%s' depends on where canaryd is started: give all of the path, from /",
				name)
		       : 0;
}

static int check_tls(const struct etcd_settings *etcd, struct problem *problem)
{
	bool given = etcd->ca[0] || etcd->cert[0] || etcd->key[0];
	int err;

	if (given && !begins_with(etcd->endpoints[0], https))
		return refuse(problem, "tls",
			      "the members' URLs are http://, which is not encrypted: give https://, or leave it out");
	if (etcd->cert[0] && !etcd->key[0])
		return refuse(problem, "tls.cert", "a certificate is of no use without its key: give key as well");
	if (etcd->key[0] && !etcd->cert[0])
		return refuse(problem, "tls.key", "a key is of no use without its certificate: give cert as well");
	err = check_file(etcd->ca, "tls.ca", problem);
	if (!err)
		err = check_file(etcd->cert, "tls.cert", problem);
	return err ? err : check_file(etcd->key, "tls.key", problem);
}

static int check_user(const struct etcd_settings *etcd, struct problem *problem)
{
	if (etcd->user[0] && !etcd->password_file[0])
		return refuse(problem, "user", "a user needs a password: give password_file as well");
	if (etcd->password_file[0] && !etcd->user[0])
		return refuse(problem, "password_file", "it is not said whose password that is: give user as well");
	return check_file(etcd->password_file, "password_file", problem);
}

static int check_prefix(const char *prefix, struct problem *problem)
{
	size_t len = strlen(prefix);

	if (prefix[0] != '/' || len < 2 || prefix[len - 1] == '/' || strstr(prefix, "//") ||
	    prefix[strspn(prefix, LETTERS DIGITS "-_./")])
		return refuse(
			problem, "prefix",
			"'%s' is not a prefix: it begins with '/', does not end with it, and has letters, digits, "
			"'-', '_' and '.' between, like /canary",
			prefix);
	return 0;
}

int fleet_settings_validate(const struct fleet_settings *settings, struct problem *ret)
{
	int err = check_endpoints(&settings->etcd, ret);

	if (!err)
		err = check_prefix(settings->prefix, ret);
	if (!err && !is_host_name(settings->name))
		err = refuse(ret, "name", "'%s' is not a name: give letters, digits, '-' and '.', like a host's",
			     settings->name);
	if (!err)
		err = check_tls(&settings->etcd, ret);
	return err ? err : check_user(&settings->etcd, ret);
}
