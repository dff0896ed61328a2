// SPDX-License-Identifier: Apache-2.0
// The dashboard: what the daemon's stream says goes into the page.
import {Actions} from './actions.js';
import {Charts} from './charts.js';
import {append, emptyCurve, isLong} from './curve.js';
import {byId, element, fill, setText} from './dom.js';
import {Events} from './events.js';
import {Live} from './live.js';
import {Backends, showGates} from './tables.js';
import {showCohorts, showRollout} from './views.js';

const RECENT = 30; // points
const AFTER_END_S = 30; // the curve goes on a little after the end, as the daemon's does
const underWay = ['progressing', 'baking', 'paused', 'inconclusive'];

const charts = new Charts(byId('charts')), backends = new Backends(), events = new Events();
let status = null, curve = emptyCurve(), recent = emptyCurve(), percentile = 'p99';
let reading = null; // the release whose curve is being read

const live = new Live({
	link: showLink,
	// What was missed meanwhile is in the daemon's curve.
	begun() {
		curve = emptyCurve();
		recent = emptyCurve();
		reading = null;
	},
	refused: showOthers,
	services: ({services}) => showServices(services),
	status: take,
	health: ({backends: list}) => backends.takeHealth(list),
	backends: ({backends: list}) => backends.take(list),
	entries: ({entries}) => events.take('entries', entries),
	events: ({events: list}) => events.take('events', list),
	point: takePoint,
});

const actions = new Actions(take);

function showLink(state, text = state === 'lost' ? 'connection lost' : state) {
	const node = byId('link');
	setText(node, text);
	node.className = `link ${state}`;
	byId('main').classList.toggle('old', state === 'lost');
}

function take(next) {
	status = next;
	byId('service').value = status.service;
	showRollout(status);
	showGates(status);
	showCohorts(status, curve, recent);
	actions.show(status);
	if (curve.release !== status.release)
		readCurve();
}

// Points of before this page was opened.
async function readCurve() {
	const {service, release} = status;
	if (reading === release)
		return;
	reading = release;
	try {
		const response = await fetch(`/v1/services/${encodeURIComponent(service)}/rollout/curve`);
		if (!response.ok)
			return;
		const past = await response.json();
		if (reading === release) {
			curve = {...past, release};
			charts.draw(curve, percentile);
		}
	} catch {
		// The stream notices as well, and begins anew.
	}
}

// Is there something to be drawn? Without any release, the traffic as it is.
function isDrawn() {
	const ended = Date.parse(status.last_transition?.time ?? '') / 1000;
	return !status.release || underWay.includes(status.state) || Date.now() / 1000 - ended < AFTER_END_S;
}

function takePoint(point) {
	append(recent, point);
	if (recent.time.length > 2 * RECENT)
		recent = cut(recent);
	if (!status)
		return;
	showCohorts(status, curve, recent);
	if (curve.release !== status.release || !isDrawn())
		return;
	append(curve, point);
	charts.draw(curve, percentile);
	if (isLong(curve)) {
		reading = null;
		readCurve();
	}
}

function cut(columns) {
	const few = {...columns, gates: []};
	for (const name of ['time', 'seconds', 'weight'])
		few[name] = columns[name].slice(-RECENT);
	for (const cohort of ['stable', 'canary'])
		few[cohort] = Object.fromEntries(Object.entries(columns[cohort]).map(([name, values]) => [name, values.slice(-RECENT)]));
	return few;
}

// least: so many of them are worth a choice.
function showServices(services, least = 2) {
	const picker = byId('service');
	fill(picker, services.map((one) => one.service), () =>
		services.map((one) => element('option', {value: one.service}, one.service)));
	byId('picker').hidden = services.length < least;
	if (status)
		picker.value = status.service;
	else
		picker.selectedIndex = -1; // so that any can be chosen
}

// Where the service that was asked for is none, those that are there may be. Else there are too many pages, or what comes first.
async function showOthers(service) {
	let services = null;
	try {
		({services} = await (await fetch('/v1/services')).json());
	} catch {
		// The stream is tried again.
	}
	if (!services || services.some((one) => !service || one.service === service)) {
		showLink('lost');
		return;
	}
	status = null;
	showLink('lost', service ? `there is no service ${service}` : 'there is no service yet');
	showServices(services, 1);
}

byId('service').addEventListener('change', (event) => {
	location.search = new URLSearchParams({service: event.target.value});
});
byId('percentiles').addEventListener('click', (event) => {
	const {percentile: which} = event.target.dataset;
	if (!which)
		return;
	percentile = which;
	for (const button of byId('percentiles').children)
		button.setAttribute('aria-pressed', String(button.dataset.percentile === which));
	charts.draw(curve, percentile);
});

live.follow(new URLSearchParams(location.search).get('service'));
