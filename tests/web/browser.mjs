// SPDX-License-Identifier: Apache-2.0
// What tests of the page are written in: cases and assertions, reported in the lines of tests/e2e/lib.sh; Chromium, without a
// display; and the things that a test looks at again and again.
import {execFile} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {promisify} from 'node:util';

const run = promisify(execFile);
let failures = 0, failed = false;

export function fail(message) {
	failed = true;
	console.error(`    failed: ${message}`);
}

export function eq(got, wanted, what) {
	if (got !== wanted)
		fail(`${what}: got '${got}', wanted '${wanted}'`);
}

export function matches(text, pattern, what) {
	if (!pattern.test(text))
		fail(`${what}: '${text}' does not have ${pattern}`);
}

export function holds(truth, what) {
	if (!truth)
		fail(what);
}

// Runs a case; what is thrown in it is its failure, and the next one goes on. picture: how to take one of what went wrong.
export async function test(sentence, picture, body) {
	failed = false;
	try {
		await body();
	} catch (error) {
		fail(error.message.split('\n').slice(0, 4).join(' | '));
	}
	console.log(failed ? `not ok ${sentence}` : `ok ${sentence}`);
	if (failed)
		await picture(`failure-${++failures}`);
}

export function exitCode() {
	return failures ? 1 : 0;
}

// Until `condition` holds, which may be asynchronous.
export async function until(condition, what, seconds = 20) {
	const end = Date.now() + seconds * 1000;
	while (!(await condition())) {
		if (Date.now() > end)
			throw new Error(`waited in vain for ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
}

export async function canaryctl(...args) {
	return (await run(process.env.CANARYCTL, args, {timeout: 20000})).stdout;
}

export async function statusOf(service) {
	return JSON.parse(await canaryctl('rollout', 'status', service, '--json'));
}

export async function open(modules) {
	const {chromium} = createRequire(`${modules}/`)('playwright-core');
	return chromium.launch({executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu']});
}

// A page of its own, and what went wrong in it or should not have been: complaints. requests: addresses that it asked.
export async function openPage(browser, options) {
	const context = await browser.newContext({viewport: {width: 1240, height: 900}, ...options});
	const page = await context.newPage(), complaints = [], requests = [];
	page.on('console', (message) => {
		// The browser's own note of an answer that a test provokes.
		if (message.type() === 'error' && !/status of 40[13]|ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING/.test(message.text()))
			complaints.push(message.text());
	});
	page.on('pageerror', (error) => complaints.push(error.message));
	page.on('dialog', (dialog) => {
		complaints.push(`a dialog: ${dialog.message()}`);
		dialog.dismiss();
	});
	page.on('request', (request) => requests.push(request.url()));
	await page.exposeFunction('complain', (text) => complaints.push(text));
	await page.addInitScript(() => addEventListener('securitypolicyviolation', (event) => window.complain(`policy: ${event.violatedDirective} ${event.blockedURI}`)));
	return {page, complaints, requests};
}

// Since when a chart draws, in seconds of the day, and what it says last; from what it says to those who cannot see it.
export async function chartSays(page, chart) {
	const text = await page.locator(`#chart-${chart} .area`).getAttribute('aria-label');
	const since = /since (\d+):(\d+):(\d+)/.exec(text ?? '');
	return {text, since: since ? Number(since[1]) * 3600 + Number(since[2]) * 60 + Number(since[3]) : null};
}

// In how many columns of a chart's picture there is something of that colour: "--canary", as the style names it.
export function columnsDrawn(page, chart, colour) {
	return page.evaluate(([id, variable]) => {
		const canvas = document.querySelector(`#chart-${id} canvas`), probe = document.createElement('canvas').getContext('2d');
		probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
		probe.fillRect(0, 0, 1, 1);
		const wanted = probe.getImageData(0, 0, 1, 1).data, {width, height} = canvas;
		const pixels = canvas.getContext('2d').getImageData(0, 0, width, height).data, columns = new Set();
		for (let at = 0; at < pixels.length; at += 4)
			if ([0, 1, 2].every((i) => Math.abs(pixels[at + i] - wanted[i]) < 40) && pixels[at + 3] > 100)
				columns.add((at / 4) % width);
		return columns.size;
	}, [chart, colour]);
}

// Can it be scrolled sideways, and what sticks out?
export function overflow(page) {
	return page.evaluate(() => {
		const width = document.documentElement.clientWidth;
		if (document.documentElement.scrollWidth <= width)
			return '';
		return [...document.querySelectorAll('body *')].filter((node) => node.getBoundingClientRect().right > width + 1)
			.map((node) => node.id || node.className || node.tagName).slice(0, 5).join(', ') || 'the page';
	});
}

// What axe-core finds wrong for those who cannot see it, or not well, or have no mouse: names, roles, contrast, order; '' for nothing.
export async function barriers(page, modules) {
	await page.evaluate(readFileSync(createRequire(`${modules}/`).resolve('axe-core/axe.min.js'), 'utf8'));
	return page.evaluate(async () => (await window.axe.run(document)).violations
		.map(({id, nodes}) => `${id}: ${nodes.slice(0, 2).map((node) => `${node.target} (${node.failureSummary.split('\n')[1].trim()})`).join(', ')}`)
		.join('; '));
}

// Presses Tab until the element with that id has the focus. Each element on the way has to show that it has it.
export async function tabTo(page, id) {
	for (let presses = 0; presses < 40; presses++) {
		await page.keyboard.press('Tab');
		const focus = await page.evaluate(() => {
			const node = document.activeElement, style = getComputedStyle(node);
			return {id: node.id, seen: node.tagName === 'BODY' || (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2)};
		});
		holds(focus.seen, `the focus on ${focus.id || 'an element'} is not seen`);
		if (focus.id === id)
			return;
	}
	throw new Error(`Tab does not lead to ${id}`);
}
