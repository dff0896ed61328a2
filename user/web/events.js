// SPDX-License-Identifier: Apache-2.0
// What happened, newest first: transitions and blocks of the rollout, and the service's events in the data plane.
import {byId, element, fill} from './dom.js';
import {clock, figure, number, plain} from './words.js';

// Who asked for it: a name is not known here, a uid is.
function asker({uid}) {
	if (uid === null || uid === undefined)
		return '';
	return uid === 0 ? 'by root' : `by uid ${uid}`;
}

function join(...parts) {
	return parts.filter(Boolean).join(', ');
}

// Why a transition came about.
export function sentenceOf(entry) {
	const {judgement} = entry, gate = judgement?.gate ? `gate ${judgement.gate}: ` : '';
	switch (entry.cause) {
	case 'request':
		return `${plain(entry.event ?? 'asked for')} ${asker(entry)}`.trim();
	case 'passed':
		return 'the step passed';
	case 'override':
		return `somebody set the weight ${asker(entry)}`.trim();
	default:
		return judgement?.text ? `${gate}${judgement.text}` : plain(entry.cause);
	}
}

const stateTones = {rolled_back: 'bad', failed: 'bad', succeeded: 'good', paused: 'wait', inconclusive: 'wait'};

function ofTransition(entry) {
	return {
		title: plain(entry.after),
		place: ` · step ${entry.step ?? '–'}, ${number(entry.weight, 2)} %`,
		text: sentenceOf(entry),
		tone: stateTones[entry.after] ?? 'go',
	};
}

function ofBlock(entry) {
	return {
		title: entry.blocked ? 'blocked' : 'unblocked',
		text: join(entry.reason, asker(entry)),
		tone: entry.blocked ? 'wait' : 'none',
	};
}

function endpoint({address, port}) {
	return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function tripped(event) {
	const share = (cohort) => `${number(event[cohort].failures)} of ${number(event[cohort].flows)} connections`;
	return `the kernel took the canary out: ${share('canary')} failed, of stable ${share('stable')}`;
}

function overflow(event) {
	return `${event.cohort}'s new flows, ${figure(event.weight)} %, ${event.to ? `to ${event.to}` : 'are dropped'}: it has no backend`;
}

// By type, what an event of the data plane says, and how loud. Those that are not here say their type alone.
const types = {
	weight_changed: (event) => ({text: `${number(event.weight_before, 2)} % → ${number(event.weight, 2)} %`}),
	service_added: (event) => ({text: `canary weight ${number(event.weight, 2)} %`}),
	backend_added: (event) => ({text: `${event.cohort} ${endpoint(event)}`}),
	backend_changed: (event) => ({text: `${event.cohort} ${endpoint(event)}: ${event.state}`, tone: event.state === 'up' ? 'good' : 'wait'}),
	backend_deleted: (event) => ({text: `${event.cohort} ${endpoint(event)}`}),
	breaker_tripped: (event) => ({text: tripped(event), tone: 'bad'}),
	lease_expired: (event) => ({text: event.on_expiry === 'hold' ? 'the weight is held' : 'new flows go to stable', tone: 'bad'}),
	overflow_begun: (event) => ({text: overflow(event), tone: 'bad'}),
	overflow_ended: (event) => ({text: `no longer: ${overflow(event)}`, tone: 'good'}),
	window_closed: () => ({text: 'no older flow is remembered any more'}),
};

function ofDataPlane(event) {
	const {text = '', tone = 'none'} = types[event.type]?.(event) ?? {};
	return {title: plain(event.type), text: join(text, asker(event)), tone};
}

function describe(one) {
	if (one.kind === 'transition')
		return ofTransition(one);
	return one.kind === 'block' ? ofBlock(one) : ofDataPlane(one);
}

function item(one) {
	const {title, place = '', text, tone} = describe(one);
	const release = one.release ? element('small', null, ` release ${one.release}`) : null;
	return element('li', {class: tone},
		element('time', {datetime: one.time}, clock(one.time)),
		element('div', null, element('b', null, title), place, element('p', null, text, release)));
}

export class Events {
	constructor() {
		this.lists = {entries: [], events: []};
	}

	take(which, list) {
		this.lists[which] = list;
		const {entries, events} = this.lists, all = [...entries, ...events]
			.toSorted((a, b) => Date.parse(b.time) - Date.parse(a.time) || (b.number ?? 0) - (a.number ?? 0));
		fill(byId('events'), all, () => all.length ? all.map(item) : [element('li', {class: 'empty'}, 'Nothing happened yet.')]);
	}
}
