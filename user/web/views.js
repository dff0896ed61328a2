// SPDX-License-Identifier: Apache-2.0
// Where the rollout is, and the cohorts side by side: from the status, and the last point of the curve.
import {byId, element, fill, setText} from './dom.js';
import {sentenceOf} from './events.js';
import {capital, duration, figure, milliseconds, number, percent, plain, planSeconds, rate} from './words.js';

const tones = {
	progressing: 'go', baking: 'go', succeeded: 'good', paused: 'wait', inconclusive: 'wait', rolled_back: 'bad', failed: 'bad', idle: 'none',
};
const underWay = ['progressing', 'baking', 'paused', 'inconclusive'];

function place(status) {
	if (!status.release)
		return 'No rollout yet.';
	const step = `step ${status.step} of ${status.steps}`;
	const weight = status.weight === null ? '' : `, weight ${number(status.weight, 2)} %`;
	switch (status.state) {
	case 'succeeded':
		return `The new version is out: all ${status.steps} steps passed${weight}.`;
	case 'rolled_back':
		return `Rolled back at ${step}: the canary gets no new flows.`;
	case 'idle':
		return status.finished ? `Release ${status.release} is finished: its canary is the stable version now.` : 'No rollout is under way.';
	default:
		return `${capital(step)}${weight}.`;
	}
}

const waits = {
	approval: 'It waits for an approval: promote to go on.',
	freeze: 'It waits for the end of a freeze.',
	unblock: 'It waits until it is unblocked.',
};

// What is worth knowing beside it, most pressing first.
function remarks(status) {
	const {judgement, facts} = status, list = [];
	if (!status.present)
		list.push('The data plane has no such service.');
	if (status.error)
		list.push(`${capital(status.error)}.`);
	if (status.blocked)
		list.push(`Blocked${status.block_reason ? `: ${status.block_reason}` : ''}.`);
	if (waits[status.wait])
		list.push(waits[status.wait]);
	if (status.present && underWay.includes(status.state) && status.effective_weight !== status.weight)
		list.push(`${number(status.effective_weight, 2)} % of new flows are the canary's in fact.`);
	if (status.late)
		list.push('The deadline is over.');
	if (judgement)
		list.push(`${capital(`${judgement.gate ? `gate ${judgement.gate}: ` : ''}${judgement.text}`)}.`);
	else if (status.state === 'rolled_back' && status.last_transition)
		list.push(`Why: ${sentenceOf(status.last_transition)}.`);
	if (facts && facts.canary_flows < facts.min_flows)
		list.push(`${number(facts.canary_flows)} of the ${number(facts.min_flows)} canary flows that the step needs.`);
	return list;
}

function stepState(status, at) {
	const step = at + 1;
	if (!status.release || status.state === 'idle')
		return status.finished ? 'done' : 'todo';
	if (status.state === 'succeeded')
		return 'done';
	if (step < status.step)
		return status.state === 'rolled_back' ? 'undone' : 'done';
	if (step > status.step)
		return 'todo';
	return status.state === 'rolled_back' || status.state === 'failed' ? 'stopped' : 'current';
}

const stepWords = {done: 'passed', undone: 'passed before', current: 'in force', todo: 'to come', stopped: 'stopped here'};

function bakeText(status, step, at) {
	const last = at + 1 === status.plan.steps.length;
	const bake = planSeconds(last ? status.plan.final_bake : step.bake);
	if (at + 1 !== status.step || !underWay.includes(status.state))
		return duration(bake) + (step.approval === 'required' ? ', approval' : '');
	const left = status.warm ? '' : ', warming up';
	return `${duration(Math.min(status.elapsed, status.bake))} of ${duration(status.bake)}${left}`;
}

function stepItem(status, step, at) {
	const state = stepState(status, at);
	const done = state === 'current' && status.bake ? Math.min(status.elapsed / status.bake, 1) : state === 'done' || state === 'undone' ? 1 : 0;
	return element('li', {class: `step ${state}`, 'aria-current': state === 'current' ? 'step' : null},
		element('span', {class: 'track'}, element('span', {class: 'filled', style: {width: `${(done * 100).toFixed(1)}%`}})),
		element('span', {class: 'step-weight'}, `${number(Number(step.weight), 2)} %`),
		element('span', {class: 'step-bake'}, bakeText(status, step, at)),
		element('span', {class: 'unseen'}, `, ${stepWords[state]}`));
}

export function showRollout(status) {
	const badge = byId('state');
	document.title = `${status.service}: ${plain(status.state)} · canaryd`;
	setText(byId('name'), status.service);
	setText(badge, plain(status.state));
	badge.className = `badge ${tones[status.state] ?? 'none'}`;
	setText(byId('sentence'), place(status));
	setText(byId('note'), remarks(status).join(' '));
	fill(byId('plan'), [status.plan.steps, status.step, status.state, status.elapsed, status.bake, status.finished, status.warm],
		() => status.plan.steps.map((step, at) => stepItem(status, step, at)));
}

// Of the last seconds.
function sumOf(curve, cohort, name, seconds) {
	const end = curve.time.at(-1);
	let sum = 0, span = 0;
	for (let i = curve.time.length - 1; i >= 0 && end - curve.time[i] < seconds; i--) {
		sum += curve[cohort][name]?.[i] ?? 0;
		span += curve.seconds[i];
	}
	return span > 0 ? sum / span : NaN;
}

// Of a release that has ended, too: what was measured last tells why.
function last(curve, cohort, name) {
	return curve[cohort][name]?.findLast((value) => value !== null) ?? NaN;
}

const RECENT = 10;

// X: name, value of a cohort, how it is written, whether more is worse.
function measures(status, curve, recent) {
	const of = (name) => (cohort) => status.cohorts[cohort][name] ?? NaN;
	return [
		['New flows', (cohort) => sumOf(recent, cohort, 'flows', RECENT), rate, false],
		['Failed connections', of('failure_rate'), percent, true],
		['Handshake p50', (cohort) => last(curve, cohort, 'handshake_p50'), milliseconds, true],
		['Handshake p90', (cohort) => last(curve, cohort, 'handshake_p90'), milliseconds, true],
		['Handshake p99', (cohort) => last(curve, cohort, 'handshake_p99'), milliseconds, true],
		['Response p50', of('response_p50'), milliseconds, true],
		['Response p99', of('response_p99'), milliseconds, true],
		['Dropped packets', (cohort) => sumOf(recent, cohort, 'drops', RECENT), rate, true],
	];
}

function detail(status, name, cohort) {
	const {failures, flows} = status.cohorts[cohort];
	return name === 'Failed connections' && flows ? `${number(failures)} of ${number(flows)}` : null;
}

// How many times as much as stable's, where that is a difference worth a word.
function comparison(stable, canary) {
	const times = canary / stable;
	if (!Number.isFinite(times) || times < 1.5)
		return null;
	return element('span', {class: 'times'}, `${figure(times)}×`);
}

function measureRow(status, [name, value, format, worse]) {
	const stable = value('stable'), canary = value('canary');
	const cell = (cohort, number, extra) => {
		const small = detail(status, name, cohort);
		return element('td', {class: `number ${cohort}`}, element('span', {class: 'figure'}, format(number)), extra ?? null,
			small ? element('small', null, small) : null);
	};
	return element('tr', null, element('th', {scope: 'row'}, name),
		cell('stable', stable), cell('canary', canary, worse ? comparison(stable, canary) : null));
}

// curve: the release's; recent: the last seconds, whether there is a release or not.
export function showCohorts(status, curve, recent) {
	byId('cohorts').replaceChildren(...measures(status, curve, recent)
		.filter(([, value]) => Number.isFinite(value('stable')) || Number.isFinite(value('canary')))
		.map((measure) => measureRow(status, measure)));
}
