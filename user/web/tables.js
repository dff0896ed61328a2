// SPDX-License-Identifier: Apache-2.0
// Gates and backends.
import {byId, element, fill} from './dom.js';
import {clock, evidence, figure, number, percent, plain, rate} from './words.js';

const verdictTones = {pass: 'good', fail: 'bad', invalid: 'bad', inconclusive: 'wait'};
const verdictWords = {pass: 'pass', fail: 'fail', invalid: 'invalid', inconclusive: 'undecided'};

// How far the evidence is on its way to the threshold, at which the gate fails.
function evidenceBar(gate) {
	const part = Math.max(0, Math.min(gate.log_e / gate.bound, 1));
	const text = `evidence ${evidence(gate.log_e)} of ${evidence(gate.bound)}`;
	const events = gate.canary ? ` · events: canary ${number(gate.canary.failures)}, stable ${number(gate.stable.failures)}` : '';
	return element('div', {class: 'evidence'},
		element('div', {class: 'meter', role: 'meter', 'aria-label': `${gate.name}: ${text}`, 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': Math.round(part * 100)},
			element('span', {class: part >= 1 ? 'filled bad' : 'filled', style: {width: `${part * 100}%`}})),
		element('small', null, text + events));
}

function limits(gate) {
	const list = [];
	if (gate.min !== null)
		list.push(`at least ${figure(gate.min)}`);
	if (gate.max !== null)
		list.push(`at most ${figure(gate.max)}`);
	return list.length ? ` (${list.join(', ')})` : '';
}

function gateBody(gate) {
	if (gate.bound !== null && gate.log_e !== null)
		return evidenceBar(gate);
	if (gate.min !== null || gate.max !== null)
		return element('small', null, `${gate.value === null ? 'no value' : figure(gate.value)}${limits(gate)}`);
	return null;
}

function gateItem(gate) {
	const mode = gate.mode === 'decide' ? null : element('span', {class: 'mode'}, plain(gate.mode));
	const verdict = gate.verdict
		? element('span', {class: `badge ${verdictTones[gate.verdict] ?? 'none'}`}, verdictWords[gate.verdict] ?? gate.verdict)
		: element('span', {class: 'badge none'}, 'not judged');
	return element('div', {class: 'gate'},
		element('div', {class: 'gate-head'},
			element('span', null, element('b', null, gate.name), ' ', element('span', {class: 'type'}, plain(gate.type)), mode),
			verdict),
		gateBody(gate),
		element('p', null, gate.text ?? ''));
}

// Both that nothing is wrong, which a step needs to pass, and that the cohorts got the shares they were to get.
function proof(facts) {
	if (!facts || facts.harm_log_e === null || !facts.harm_bound)
		return null;
	const part = Math.max(0, Math.min(facts.harm_log_e / facts.harm_bound, 1));
	const text = part >= 1 ? 'there is enough evidence that the canary does no harm' : `${percent(part * 100)} of the evidence that a step needs`;
	return element('div', {class: 'gate'},
		element('div', {class: 'gate-head'},
			element('span', null, element('b', null, 'no harm'), ' ', element('span', {class: 'type'}, 'needed to pass')),
			element('span', {class: `badge ${part >= 1 ? 'good' : 'wait'}`}, part >= 1 ? 'shown' : 'not yet')),
		element('div', {class: 'meter', role: 'meter', 'aria-label': `no harm: ${text}`, 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': Math.round(part * 100)},
			element('span', {class: 'filled good', style: {width: `${part * 100}%`}})),
		element('p', null, text));
}

export function showGates(status) {
	fill(byId('gates'), [status.gates, status.facts], () => {
		const shown = [proof(status.facts), ...status.gates.map(gateItem)].filter(Boolean);
		return shown.length ? shown : [element('p', {class: 'empty'}, 'The plan has no gates.')];
	});
}

const healthTones = {up: 'good', down: 'bad', held: 'wait', unknown: 'none'};

const SPAN_MS = 10000; // of rates
const SPAN_LEAST_MS = 3000; // when they begin: what came late comes at once, and would make them too high

// Counts of the last seconds, oldest first: what they rose by is a rate.
let counts = [];

function rates(backends) {
	const at = performance.now();
	counts = [...counts.filter((one) => at - one.at <= SPAN_MS), {at, flows: new Map(backends.map((one) => [one.backend, one.flows]))}];
	const [first] = counts, seconds = (at - first.at) / 1000;
	const of = ({backend, flows}) => (at - first.at < SPAN_LEAST_MS ? NaN : Math.max(0, flows - (first.flows.get(backend) ?? NaN)) / seconds);
	return new Map(backends.map((one) => [one.backend, of(one)]));
}

function healthCell(backend, health) {
	const checked = health.get(backend.backend);
	const state = checked?.state ?? (backend.draining ? 'draining' : 'not checked');
	const since = checked && checked.state !== 'unknown' ? element('small', null, `since ${clock(checked.since)}`) : null;
	const why = checked?.text ? element('small', null, checked.text) : null;
	return element('td', null, element('span', {class: `badge ${healthTones[state] ?? 'none'}`}, state), since, why);
}

function backendRow(backend, health, flows) {
	return element('tr', null,
		element('th', {scope: 'row'}, backend.backend),
		element('td', null, element('span', {class: `cohort ${backend.cohort}`}, backend.cohort)),
		element('td', {class: 'number'}, number(backend.weight)),
		element('td', {class: 'number'}, rate(flows)),
		healthCell(backend, health));
}

export class Backends {
	constructor() {
		this.list = [];
		this.health = new Map();
		this.flows = new Map();
	}

	take(backends) {
		this.list = backends.toSorted((a, b) => b.cohort.localeCompare(a.cohort));
		this.flows = rates(backends);
		this.show();
	}

	takeHealth(backends) {
		this.health = new Map(backends.map((backend) => [backend.backend, backend]));
		this.show();
	}

	show() {
		const rows = this.list.map((backend) => backendRow(backend, this.health, this.flows.get(backend.backend)));
		byId('backends').replaceChildren(...(rows.length ? rows
			: [element('tr', null, element('td', {colspan: 5, class: 'empty'}, 'The data plane has none.'))]));
	}
}
