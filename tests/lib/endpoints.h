/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses and ports as clients and servers of the tests take them on the command line. Bad ones end the program, with
 * exit code 2.
 */
#ifndef ENDPOINTS_H
#define ENDPOINTS_H

#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* Where flows come from: `addresses` in a row from `first` on, `ports` in a row from `first_port` on, in host order. */
struct sources {
	struct sockaddr_storage first; /* AF_UNSPEC until parsed: the kernel's choice */
	unsigned addresses, first_port, ports;
};

static inline unsigned parse_number(const char *text, char **rest)
{
	unsigned long value = strtoul(text, rest, 10);

	if (*rest == text || value > 100000000)
		errx(2, "%s: not a number", text);
	return value;
}

/* The address's length; the port is 0. */
static inline socklen_t parse_address(const char *text, struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (void *)ret;
	struct sockaddr_in6 *in6 = (void *)ret;

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		ret->ss_family = AF_INET;
		return sizeof(*in);
	}
	if (inet_pton(AF_INET6, text, &in6->sin6_addr) != 1)
		errx(2, "%s: not an address", text);
	ret->ss_family = AF_INET6;
	return sizeof(*in6);
}

/* ADDRESS and PORT: the port's place is the same in both families. */
static inline socklen_t parse_endpoint(const char *address, const char *port, struct sockaddr_storage *ret)
{
	socklen_t len = parse_address(address, ret);
	char *rest;

	((struct sockaddr_in *)ret)->sin_port = htons(parse_number(port, &rest));
	return len;
}

/* ADDRESS[/COUNT] */
static inline void parse_source_addresses(char *text, struct sources *ret)
{
	char *slash = strchr(text, '/'), *rest;

	if (slash) {
		*slash = '\0';
		ret->addresses = parse_number(slash + 1, &rest);
	}
	parse_address(text, &ret->first);
}

/* FIRST[-LAST] */
static inline void parse_source_ports(const char *text, struct sources *ret)
{
	char *rest;

	ret->first_port = parse_number(text, &rest);
	ret->ports = 1;
	if (*rest == '-')
		ret->ports = parse_number(rest + 1, &rest) - ret->first_port + 1;
}

/* Without addresses they are of the target's family; otherwise they have to be. */
static inline void match_family(struct sources *sources, const struct sockaddr_storage *target)
{
	if (sources->first.ss_family == AF_UNSPEC)
		sources->first.ss_family = target->ss_family;
	if (sources->first.ss_family != target->ss_family)
		errx(2, "the sources are of another family than the target");
}

/* The source of flow `index`: addresses take turns. */
static inline struct sockaddr_storage source_of(const struct sources *sources, unsigned index)
{
	struct sockaddr_storage source = sources->first;
	unsigned step = index % sources->addresses;
	in_port_t port = htons(sources->first_port + index / sources->addresses);

	if (source.ss_family == AF_INET) {
		struct sockaddr_in *in = (void *)&source;

		in->sin_addr.s_addr = htonl(ntohl(in->sin_addr.s_addr) + step);
		in->sin_port = port;
	} else {
		struct sockaddr_in6 *in6 = (void *)&source;
		uint32_t *last = &in6->sin6_addr.s6_addr32[3];

		*last = htonl(ntohl(*last) + step);
		in6->sin6_port = port;
	}
	return source;
}

/* As many descriptors as this process may have. */
static inline void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

#endif
