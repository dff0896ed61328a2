/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a plan may say of the guards in the kernel: each setting may be left out, and is as the service has it then. Plain
 * data: all zero says nothing.
 */
#ifndef CORE_GUARD_SETTINGS_H
#define CORE_GUARD_SETTINGS_H

#include "core/model.h"

/* X(part, key, type, member): the key in a configuration, and the member of struct service_model. */
#define GUARD_SETTINGS(X)                                                                                              \
	X(breaker, enabled, bool, breaker)                                                                             \
	X(breaker, ratio, unsigned, breaker_ratio)                                                                     \
	X(breaker, arl, unsigned, breaker_arl)                                                                         \
	X(lease, duration, unsigned, lease_default)                                                                    \
	X(lease, on_expiry, enum canary_on_expiry, on_expiry)

enum guard_setting {
#define X(part, key, type, member) GUARD_SETTING_##member,
	GUARD_SETTINGS(X)
#undef X
		GUARD_SETTING_COUNT
};

struct guard_settings {
	unsigned given; /* 1 << GUARD_SETTING_... */
#define X(part, key, type, member) type member;
	GUARD_SETTINGS(X)
#undef X
};

/* Those of a service that are among these. */
struct guard_settings guard_settings_of(const struct service_model *service, unsigned given);
/* Puts the given ones in force. */
void guard_settings_apply(const struct guard_settings *settings, struct service_model *service);
/* Of these, those that the service has from `others` still: what has another value by now is somebody else's. */
struct guard_settings guard_settings_in_place_of(const struct guard_settings *settings,
						 const struct guard_settings *others,
						 const struct service_model *service);
/* Are the given ones in force? */
bool guard_settings_hold(const struct guard_settings *settings, const struct service_model *service);

#endif
