// SPDX-License-Identifier: Apache-2.0
// Numbers, times and events as text.

const none = '–';

export function number(value, digits = 0) {
	if (!Number.isFinite(value))
		return none;
	return value.toLocaleString('en-US', {maximumFractionDigits: digits});
}

// With as many digits as tell something: 0.034, 1.25, 12.5, 1,250.
export function figure(value) {
	if (!Number.isFinite(value))
		return none;
	const size = Math.abs(value);
	return number(value, size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

export function percent(value) {
	return Number.isFinite(value) ? `${figure(value)} %` : none;
}

export function milliseconds(value) {
	if (!Number.isFinite(value))
		return none;
	return value < 1 ? `${number(value * 1000)} µs` : `${figure(value)} ms`;
}

export function rate(value) {
	return Number.isFinite(value) ? `${figure(value)}/s` : none;
}

// Evidence E from its natural logarithm: 1/∞ ... 0.5 ... 100 ... 10^12.
export function evidence(logE) {
	if (!Number.isFinite(logE))
		return none;
	const power = logE / Math.LN10;
	if (power < -3 || power > 5)
		return `10${superscript(Math.round(power))}`;
	return figure(Math.exp(logE));
}

export function superscript(power) {
	return String(power).replace(/./g, (digit) => (digit === '-' ? '⁻' : '⁰¹²³⁴⁵⁶⁷⁸⁹'[digit]));
}

export function duration(seconds) {
	if (seconds < 60)
		return `${Math.floor(seconds)} s`;
	if (seconds < 3600)
		return seconds % 60 >= 1 && seconds < 600 ? `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s` : `${Math.floor(seconds / 60)} min`;
	const hours = Math.floor(seconds / 3600), minutes = Math.floor((seconds % 3600) / 60);
	return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
}

// "1h30m", as plans have it, in seconds.
export function planSeconds(text) {
	const units = {d: 86400, h: 3600, m: 60, s: 1};
	let seconds = 0;
	for (const [, count, unit] of String(text ?? '').matchAll(/(\d+)([dhms]?)/g))
		seconds += Number(count) * (units[unit] ?? 1);
	return seconds;
}

export function clock(time) {
	const date = new Date(time), today = new Date();
	const text = date.toLocaleTimeString('en-GB');
	return date.toDateString() === today.toDateString() ? text : `${date.toLocaleDateString('en-GB')} ${text}`;
}

export function capital(text) {
	return text.charAt(0).toUpperCase() + text.slice(1);
}

export function plain(word) {
	return String(word ?? '').replaceAll('_', ' ');
}
