// SPDX-License-Identifier: Apache-2.0
// The charts, drawn by uPlot (a classic script, which defines window.uPlot).
import {columnsOf, comparing} from './curve.js';
import {element} from './dom.js';
import {clock, evidence, milliseconds, percent, rate, superscript} from './words.js';

const HEIGHT = 170;
const EVIDENCE_LEAST = -3; // the power of ten: what is less is drawn as this
const both = [{label: 'stable', colour: '--stable'}, {label: 'canary', colour: '--canary'}];
const gateColours = ['--gate-1', '--gate-2', '--gate-3', '--gate-4', '--gate-5'];

const charts = [
	{name: 'weight', title: 'Canary weight', format: percent, lines: [{label: 'canary', colour: '--canary', filled: true, stepped: true}],
		range: () => [0, 100]},
	{name: 'flows', title: 'New flows', format: rate, lines: both},
	{name: 'failures', title: 'Failed connections', format: percent, lines: both, least: 1},
	{name: 'handshake', title: 'Handshake time', format: milliseconds, axis: (value) => (value ? milliseconds(value) : '0'), lines: both},
	{name: 'evidence', title: 'Evidence against the canary', format: (value) => evidence(value * Math.LN10),
		axis: (power) => (Number.isInteger(power) ? `${power === EVIDENCE_LEAST ? '≤' : ''}10${superscript(power)}` : ''), lines: null,
		floor: EVIDENCE_LEAST},
	{name: 'drops', title: 'Dropped packets', format: rate, lines: both, least: 1},
];

function colour(name) {
	return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function compact(value) {
	return Math.abs(value) >= 1000 ? `${+(value / 1000).toPrecision(3)}k` : String(+value.toPrecision(6));
}

// Hours and minutes, with seconds where the curve is short, and the day where it is long.
function times(plot, splits, axis, space, increment) {
	return splits.map((split) => {
		const date = new Date(split * 1000), time = date.toLocaleTimeString('en-GB', increment < 60 ? {} : {hour: '2-digit', minute: '2-digit'});
		return increment < 86400 ? time : date.toLocaleDateString('en-GB', {day: 'numeric', month: 'short'});
	});
}

// From 0 to a little above the highest value.
function fromZero(least) {
	return (plot, min, max) => [0, Math.max(max ?? 0, least) * 1.08];
}

// Powers of ten, with the thresholds in sight.
function ofEvidence(bounds) {
	return (plot, min, max) => [Math.min(min ?? -1, -1) - 0.1, Math.max(max ?? 0, ...bounds, 1) * 1.15];
}

// How strong the evidence is that there is no difference is of no interest, but that there is some: the line goes on at the floor.
function above(floor, [times, ...columns]) {
	return [times, ...columns.map((column) => column.map((value) => (value === null ? null : Math.max(value, floor))))];
}

function axis(values) {
	return {
		stroke: () => colour('--muted'),
		font: '11px system-ui, sans-serif',
		grid: {stroke: () => colour('--grid'), width: 1},
		ticks: {show: false},
		...values,
	};
}

function series(line) {
	return {
		label: line.label,
		stroke: () => colour(line.colour),
		fill: line.filled ? () => colour(`${line.colour}-soft`) : undefined,
		width: line.dash ? 1.5 : 2,
		dash: line.dash,
		paths: line.stepped ? window.uPlot.paths.stepped({align: 1}) : undefined,
		points: {show: false},
	};
}

// Lines of the evidence chart: a gate each, and their thresholds.
function evidenceLines(curve) {
	const gates = comparing(curve);
	const lines = gates.map((gate, at) => ({label: gate.name, colour: gateColours[at % gateColours.length]}));
	const bounds = [...new Set(gates.map((gate) => gate.bound / Math.LN10))];
	return {lines: [...lines, ...bounds.map(() => ({label: 'threshold', colour: '--bad', dash: [6, 4]}))], bounds};
}

class Chart {
	constructor(kind, parent, sync) {
		this.kind = kind;
		this.sync = sync;
		this.values = element('p', {class: 'values'});
		this.area = element('div', {class: 'area', role: 'img'});
		this.node = element('figure', {class: 'card chart', id: `chart-${kind.name}`},
			element('figcaption', null, element('h2', null, kind.title), this.values), this.area);
		parent.append(this.node);
		this.key = '';
		this.data = [[]];
		new ResizeObserver(() => this.resize()).observe(this.area);
	}

	resize() {
		if (this.plot && this.area.clientWidth)
			this.plot.setSize({width: this.area.clientWidth, height: HEIGHT});
	}

	make(lines, range, data) {
		this.plot?.destroy();
		this.plot = new window.uPlot({
			width: this.area.clientWidth || 320,
			height: HEIGHT,
			padding: [8, 24, 0, 0], // half a time at the right end
			legend: {show: false},
			cursor: {sync: {key: this.sync.key}, drag: {x: true, y: false}, points: {size: 6}},
			scales: {y: {range}},
			series: [{}, ...lines.map(series)],
			axes: [
				axis({size: 26, space: 80, values: times}),
				axis({size: 48, space: 34, values: (plot, splits) => splits.map(this.kind.axis ?? compact)}),
			],
			hooks: {setCursor: [() => this.say()]},
		}, data, this.area);
	}

	draw(curve, percentile) {
		let {lines} = this.kind, bounds = [];
		if (!lines)
			({lines, bounds} = evidenceLines(curve));
		const data = columnsOf(curve, this.kind.name, percentile);
		for (const bound of bounds)
			data.push(data[0].map(() => bound));
		const key = JSON.stringify([lines, bounds]), shown = this.kind.floor === undefined ? data : above(this.kind.floor, data);
		this.lines = lines;
		this.data = data;
		if (this.key !== key) {
			const range = this.kind.range ?? (bounds.length || !this.kind.lines ? ofEvidence(bounds) : fromZero(this.kind.least ?? 0));
			this.key = key;
			this.make(lines, range, shown);
		} else {
			this.plot.setData(shown);
		}
		this.say();
	}

	// The values under the cursor, or the last ones.
	say() {
		const [times, ...columns] = this.data;
		const at = this.plot?.cursor.idx;
		const pointed = at !== null && at !== undefined;
		const texts = this.lines.map((line, i) => {
			const value = pointed ? columns[i]?.[at] : columns[i]?.findLast((one) => one !== null);
			return {line, text: this.kind.format(value ?? NaN)};
		});
		this.values.replaceChildren(
			...(pointed && times[at] ? [element('span', {class: 'time'}, clock(times[at] * 1000))] : []),
			...texts.map(({line, text}) => element('span', {class: 'value', style: {'--swatch': `var(${line.colour})`}},
				element('span', {class: line.dash ? 'swatch dashed' : 'swatch'}), `${line.label} `, element('b', null, text))));
		const since = times.length ? ` since ${clock(times[0] * 1000)}` : '';
		this.area.setAttribute('aria-label', `${this.kind.title}${since}: ${texts.map(({line, text}) => `${line.label} ${text}`).join(', ')}`);
	}

	repaint() {
		this.plot?.redraw(false);
	}
}

export class Charts {
	constructor(parent) {
		const sync = window.uPlot.sync('canary');
		this.all = charts.map((kind) => new Chart(kind, parent, sync));
		matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.all.forEach((chart) => chart.repaint()));
		// The chooser belongs to the one chart that has percentiles.
		const chooser = document.getElementById('percentiles');
		this.all.find((chart) => chart.kind.name === 'handshake').node.querySelector('h2').after(chooser);
	}

	draw(curve, percentile) {
		for (const chart of this.all)
			chart.draw(curve, percentile);
	}
}
