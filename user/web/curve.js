// SPDX-License-Identifier: Apache-2.0
// The release's course: columns of numbers as the daemon sends them (CURVE), and what charts draw of them.

const cohorts = ['stable', 'canary'];
const POINTS_MAX = 1500; // then the daemon's own, which has fewer, is read again
const GAP = 4; // a line breaks where nothing is known for so many times the usual distance

export function emptyCurve() {
	return {release: 0, time: [], seconds: [], weight: [], stable: {}, canary: {}, gates: []};
}

export function isLong(curve) {
	return curve.time.length > POINTS_MAX;
}

function extend(columns, more) {
	for (const [name, values] of Object.entries(more))
		(columns[name] ??= []).push(...values);
}

// Adds what is later than what is there.
export function append(curve, more) {
	const last = curve.time.at(-1) ?? 0;
	if (!(more.time[0] > last))
		return;
	for (const name of ['time', 'seconds', 'weight'])
		curve[name].push(...more[name]);
	for (const cohort of cohorts)
		extend(curve[cohort], more[cohort]);
	curve.gates = more.gates.map((gate, at) => {
		const before = curve.gates[at]?.name === gate.name ? curve.gates[at].log_e : [];
		return {...gate, log_e: [...before, ...gate.log_e]};
	});
}

// Of each point: the sum of `parts` over that of `wholes`, both over the seconds before it. Where nothing came, it stays.
function rolling(curve, parts, wholes, seconds) {
	const result = [];
	let part = 0, whole = 0, from = 0;
	for (let i = 0; i < curve.time.length; i++) {
		part += parts[i];
		whole += wholes[i];
		while (from < i && curve.time[i] - curve.time[from] >= seconds) {
			part -= parts[from];
			whole -= wholes[from];
			from++;
		}
		if (whole > 0 && wholes[i] === 0)
			result.push(result.at(-1) ?? null);
		else
			result.push(whole > 0 ? Math.max(part, 0) / whole : null);
	}
	return result;
}

// Short ones are mostly noise, long ones hide when it began.
function smoothing(curve, least) {
	const span = (curve.time.at(-1) ?? 0) - (curve.time[0] ?? 0);
	return Math.max(least, span / 60);
}

function scaled(values, factor) {
	return values.map((value) => (value === null ? null : value * factor));
}

// What a chart shows, by its name: a list of values for each of its lines.
const drawn = {
	weight: (curve) => [curve.weight],
	flows: (curve) => cohorts.map((cohort) => rolling(curve, curve[cohort].flows ?? [], curve.seconds, smoothing(curve, 3))),
	failures: (curve) =>
		cohorts.map((cohort) =>
			scaled(rolling(curve, curve[cohort].failures ?? [], curve[cohort].finished ?? [], smoothing(curve, 10)), 100)),
	handshake: (curve, percentile) => cohorts.map((cohort) => curve[cohort][`handshake_${percentile}`] ?? []),
	drops: (curve) => cohorts.map((cohort) => rolling(curve, curve[cohort].drops ?? [], curve.seconds, smoothing(curve, 3))),
	evidence: (curve) => comparing(curve).map((gate) => scaled(gate.log_e, 1 / Math.LN10)),
};

// Gates that hold the cohorts against each other.
export function comparing(curve) {
	return curve.gates.filter((gate) => gate.bound !== null);
}

// A place without values where the daemon was away, or nothing was measured.
function withGaps(curve, columns) {
	const result = columns.map(() => []);
	for (let i = 0; i < curve.time.length; i++) {
		const usual = Math.max(curve.seconds[i], curve.seconds[i - 1] ?? 0, 1);
		if (i > 0 && curve.time[i] - curve.time[i - 1] > GAP * usual)
			result.forEach((column, at) => column.push(at ? null : (curve.time[i - 1] + curve.time[i]) / 2));
		columns.forEach((column, at) => result[at].push(column[i] ?? null));
	}
	return result;
}

// For uPlot: times, and the values of each line.
export function columnsOf(curve, name, percentile) {
	return withGaps(curve, [curve.time, ...drawn[name](curve, percentile)]);
}
