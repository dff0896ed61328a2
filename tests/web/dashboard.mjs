// SPDX-License-Identifier: Apache-2.0
// The dashboard in Chromium: a rollout is watched, and rolled back by clicks. Run by tests/e2e/test_dashboard.sh, which has
// a daemon, backends and traffic: dashboard.mjs URL MODULES PICTURES TOKEN. PICTURES: a directory for screenshots.
import {barriers, canaryctl, chartSays, columnsDrawn, eq, exitCode, fail, holds, matches, open, openPage, overflow, statusOf, tabTo,
	test as testWith, until} from './browser.mjs';

const [url, modules, pictures, token] = process.argv.slice(2);
const charts = ['weight', 'flows', 'failures', 'handshake', 'drops', 'evidence'];
const other = 'the-api-whose-name-is-very-long';
const MARKUP = '<img src=x onerror=alert(1)><script>alert(2)</script>';

const browser = await open(modules);
const {page, complaints, requests} = await openPage(browser);
const state = () => page.locator('#state').textContent();
const current = () => page.locator('#plan [aria-current=step] .step-weight').textContent({timeout: 1000}).catch(() => 'none');
const picture = (name, of = page) => of.screenshot({path: `${pictures}/${name}.png`, fullPage: true});
const test = (sentence, body) => testWith(sentence, picture, body);

await test('the page shows a service without a rollout, and the traffic as it is', async () => {
	await page.goto(url);
	await until(async () => (await page.locator('#link').textContent()) === 'live', 'the stream');
	eq(await state(), 'idle', 'the state');
	eq(await page.locator('#name').textContent(), 'web', 'the service');
	for (const button of ['promote', 'pause', 'rollback'])
		holds(await page.locator(`#${button}`).isDisabled(), `${button} can be pressed`);
	await until(async () => (await page.locator('#backends tr').count()) === 4, 'four backends');
	await until(async () => /New flows.*stable \d/.test((await chartSays(page, 'flows')).text), 'flows in the chart');
});

await test('another service can be chosen, and its address kept', async () => {
	await page.locator('#service').selectOption(other);
	await until(async () => (await page.locator('#name').textContent()) === other, 'the other service', 10);
	holds(page.url().endsWith(`?service=${other}`), `the address is ${page.url()}`);
	eq(await page.locator('#service').inputValue(), other, 'the choice');
	await page.goto(`${url}?service=web`);
	await until(async () => (await page.locator('#name').textContent()) === 'web', 'the first one', 10);
	await until(async () => (await page.locator('#link').textContent()) === 'live', 'the stream');
});

await test('of a service that there is none of, it says so, and has others to choose from', async () => {
	const lost = await openPage(browser);
	await lost.page.goto(`${url}?service=nobody`);
	await until(async () => (await lost.page.locator('#link').textContent()) === 'there is no service nobody', 'a word about it');
	eq(await lost.page.locator('#service').inputValue(), '', 'the choice');
	await lost.page.locator('#service').selectOption('web');
	await until(async () => (await lost.page.locator('#link').textContent()) === 'live', 'the stream of the one that was chosen');
	eq(await lost.page.locator('#name').textContent(), 'web', 'the service');
	await lost.page.context().close();
});

await test('a rollout that begins is watched: state, timeline, cohorts, gates, events', async () => {
	await canaryctl('rollout', 'start', 'web');
	await until(async () => (await state()) === 'progressing', 'the page to see the start');
	eq(await current(), '5 %', 'the step in force');
	eq(await page.locator('#plan li').count(), 3, 'steps');
	await until(async () => /\/s.*\/s/.test(await page.locator('#cohorts tr', {hasText: 'New flows'}).textContent()), 'both cohorts\' flows');
	for (const row of ['Failed connections', 'Handshake p50', 'Handshake p90', 'Handshake p99', 'Dropped packets'])
		await until(async () => /\d.*\d/.test(await page.locator('#cohorts tr', {hasText: row}).textContent({timeout: 1000}).catch(() => '')), row);
	matches(await page.locator('#gates').textContent(), /errors failures.*evidence .* of 100 · events: canary \d+, stable \d+/, 'the gates');
	matches(await page.locator('#events').textContent(), /progressing · step 1, 5 %start/, 'the events');
	await until(async () => (await page.locator('#backends .badge.good').count()) === 4, 'four healthy backends');
});

await test('the next step comes into the timeline by itself, and every chart draws both cohorts', async () => {
	await until(async () => (await current()) === '25 %', 'the second step', 40);
	await page.waitForTimeout(6000);
	for (const chart of charts) {
		const colour = chart === 'evidence' ? '--gate-1' : '--canary';
		holds(await columnsDrawn(page, chart, colour) > 100, `${chart}: the canary's line is not there`);
		if (!['weight', 'evidence', 'drops'].includes(chart)) // of drops both are zero, one above the other
			holds(await columnsDrawn(page, chart, '--stable') > 100, `${chart}: stable's line is not there`);
	}
	holds(await columnsDrawn(page, 'evidence', '--bad') > 50, 'the threshold is not there');
	matches((await chartSays(page, 'weight')).text, /canary 25 %/, 'the weight\'s chart');
	matches(await page.locator('#events').textContent(), /weight changed5 % → 25 %, by root/, 'the events of the data plane');
	await page.getByRole('button', {name: 'p50'}).click();
	eq(await page.getByRole('button', {name: 'p50'}).getAttribute('aria-pressed'), 'true', 'p50, pressed');
	eq(await barriers(page, modules), '', 'what axe finds');
	await picture('desktop');
});

await test('a reload keeps the curves', async () => {
	const before = await chartSays(page, 'flows'), events = await page.locator('#events li').count();
	await page.reload();
	await until(async () => (await chartSays(page, 'flows')).since !== null, 'the curve');
	const after = await chartSays(page, 'flows');
	eq(after.since, before.since, 'since when it draws');
	await until(async () => (await columnsDrawn(page, 'weight', '--canary')) > 100, 'the weight\'s curve');
	await until(async () => (await page.locator('#events li').count()) >= events, 'the events');
});

await test('text of others is shown as text', async () => {
	await canaryctl('rollout', 'block', 'web', '--reason', MARKUP);
	await until(async () => (await page.locator('#note').textContent()).includes(MARKUP), 'the reason beside the state');
	await until(async () => (await page.locator('#events').textContent()).includes(MARKUP), 'the reason in the events');
	eq(await page.locator('main img, main script').count(), 0, 'elements that the reason made');
	await canaryctl('rollout', 'unblock', 'web');
});

await test('on a phone nothing sticks out, and the buttons are in sight', async () => {
	const phone = await openPage(browser, {viewport: {width: 375, height: 812}, isMobile: true, hasTouch: true});
	await phone.page.goto(url);
	await until(async () => (await phone.page.locator('#state').textContent()) === 'progressing', 'the state');
	await phone.page.waitForTimeout(2500);
	eq(await overflow(phone.page), '', 'what sticks out');
	for (const button of ['promote', 'pause', 'rollback']) {
		const box = await phone.page.locator(`#${button}`).boundingBox();
		holds(box.x >= 0 && box.x + box.width <= 375 && box.y + box.height <= 812, `${button} is out of sight`);
		holds(box.height >= 36, `${button} is too small for a finger`);
	}
	await picture('phone', phone.page);
	eq(await barriers(phone.page, modules), '', 'what axe finds');
	await phone.page.locator('#rollback').tap();
	eq(await barriers(phone.page, modules), '', 'what axe finds in the question');
	eq(await overflow(phone.page), '', 'what sticks out with the dialog');
	await phone.page.getByRole('button', {name: 'Cancel'}).tap();
	eq(phone.complaints.join(' | '), '', 'complaints');
	await phone.page.context().close();
});

await test('in the dark it is dark, and readable', async () => {
	const dark = await openPage(browser, {colorScheme: 'dark'});
	await dark.page.goto(url);
	await until(async () => (await dark.page.locator('#state').textContent()) === 'progressing', 'the state');
	await dark.page.waitForTimeout(2500);
	const light = await dark.page.evaluate(() => ['body', '.card'].map((where) => {
		const {backgroundColor, color} = getComputedStyle(document.querySelector(where));
		return [backgroundColor, color].map((text) => text.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 765);
	}));
	for (const [background, text] of light)
		holds(background < 0.2 && text > 0.7, `background ${background}, text ${text}`);
	eq(await barriers(dark.page, modules), '', 'what axe finds');
	await picture('dark', dark.page);
	eq(dark.complaints.join(' | '), '', 'complaints');
	await dark.page.context().close();
});

await test('by keyboard alone: a pause, which takes a token that is asked for, and is not forgotten', async () => {
	await page.evaluate(() => document.activeElement.blur());
	await tabTo(page, 'pause');
	await page.keyboard.press('Enter');
	await until(() => page.locator('#confirm').isVisible(), 'the question');
	await page.keyboard.press('Escape');
	await until(async () => !(await page.locator('#confirm').isVisible()), 'Escape to close the question');
	await until(async () => (await page.evaluate(() => document.activeElement.id)) === 'pause', 'the focus to be back after Escape');
	eq((await statusOf('web')).state, 'progressing', 'the state after Escape');
	await page.keyboard.press('Enter');
	await tabTo(page, 'confirm-yes');
	await page.keyboard.press('Enter');
	await until(() => page.locator('#ask-token').isVisible(), 'the question for a token');
	await page.keyboard.type('0'.repeat(40));
	await page.keyboard.press('Enter');
	await until(async () => /does not take/.test(await page.locator('#token-problem').textContent()), 'a word about the wrong token');
	eq((await statusOf('web')).state, 'progressing', 'the state with a wrong token');
	await page.keyboard.type(token);
	await page.keyboard.press('Enter');
	await until(async () => (await state()) === 'paused', 'the page to show the pause');
	eq((await statusOf('web')).state, 'paused', 'what canaryctl says');
	await until(async () => !(await page.locator('dialog[open]').count()), 'the dialogs to close');
	await tabTo(page, 'pause');
	eq(await page.locator('#pause').textContent(), 'Resume', 'the button');
	await page.keyboard.press('Enter');
	await tabTo(page, 'confirm-yes');
	await page.keyboard.press('Enter');
	await until(async () => (await state()) === 'progressing', 'it to go on');
});

await test('a question that was left is not answered by the next one', async () => {
	// As by Escape, and the other button before the browser has told the page of it.
	await page.evaluate(() => {
		document.getElementById('rollback').click();
		document.getElementById('confirm').close();
		document.getElementById('pause').click();
	});
	matches(await page.locator('#confirm-title').textContent(), /^Pause/, 'the question');
	await page.locator('#confirm-yes').click();
	await until(async () => (await state()) === 'paused', 'the pause');
	await canaryctl('rollout', 'resume', 'web');
	await until(async () => (await state()) === 'progressing', 'it to go on');
	eq(JSON.parse(await canaryctl('rollout', 'history', 'web', '--json')).entries.filter((entry) => entry.after === 'rolled_back').length, 0, 'rollbacks');
});

await test('a promotion is of the step that was asked about, and of none after it', async () => {
	await page.getByRole('button', {name: 'Promote'}).click();
	await canaryctl('rollout', 'pause', 'web');
	await canaryctl('rollout', 'resume', 'web');
	const {transitions} = await statusOf('web');
	await until(async () => /resume by root.*pause by root/.test(await page.locator('#events').textContent()), 'the page to see it');
	await page.locator('#confirm-yes').click();
	await until(async () => /has gone on since/.test(await page.locator('#confirm-problem').textContent()), 'a word about it');
	eq((await statusOf('web')).transitions, transitions, 'transitions since then');
	await page.getByRole('button', {name: 'Cancel'}).click();
});

await test('promoted by clicks: the next step', async () => {
	await page.getByRole('button', {name: 'Promote'}).click();
	matches(await page.locator('#confirm-text').textContent(), /step 3 of 3 now, with 100 %/, 'the question');
	await page.locator('#confirm-yes').click();
	await until(async () => (await current()) === '100 %', 'the last step', 10);
	eq((await statusOf('web')).step, 3, 'what canaryctl says');
});

await test('rolled back by clicks, after a question, and not without an answer to it', async () => {
	await page.getByRole('button', {name: 'Roll back'}).click();
	matches(await page.locator('#confirm-text').textContent(), /weight becomes 0 % \(it is 99 %\)/, 'the question');
	await page.screenshot({path: `${pictures}/question.png`});
	await page.getByRole('button', {name: 'Cancel'}).click();
	await page.waitForTimeout(1500);
	eq((await statusOf('web')).state, 'baking', 'the state after no');
	await page.getByRole('button', {name: 'Roll back'}).click();
	await page.locator('#confirm-yes').click();
	await until(async () => (await state()) === 'rolled back', 'the page to show it', 10);
	const {state: is, effective_weight: weight} = await statusOf('web');
	eq(`${is} ${weight}`, 'rolled_back 0', 'what canaryctl says');
	await until(async () => /canary 0 %/.test((await chartSays(page, 'weight')).text), 'the weight\'s chart at 0');
	await until(async () => /weight changed99 % → 0 %.*rolled back · step 3, 0 %rollback/.test(await page.locator('#events').textContent()), 'the newest events');
	holds(await page.locator('#rollback').isDisabled(), 'it can be rolled back once more');
	// Of a canary that does as well as stable it is less than is drawn, soon, and the line does not leave the chart.
	matches((await chartSays(page, 'evidence')).text, /errors 10⁻/, 'the evidence');
	const lines = [await columnsDrawn(page, 'evidence', '--gate-1'), await columnsDrawn(page, 'flows', '--canary')];
	holds(lines[0] > 0.8 * lines[1], `the evidence is drawn in ${lines[0]} columns, and flows in ${lines[1]}`);
	await picture('rolled-back');
});

await test('a daemon that is killed and started again: the page finds it, and the history has the curve', async () => {
	const before = await chartSays(page, 'failures');
	console.log('restart');
	await until(async () => (await page.locator('#link').textContent()) === 'connection lost', 'the page to notice', 10);
	holds(await page.evaluate(() => document.getElementById('main').classList.contains('old')), 'what is old looks as if it were new');
	await until(async () => (await page.locator('#link').textContent()) === 'live', 'the page to come back', 20);
	await until(async () => (await chartSays(page, 'failures')).since !== null, 'the curve', 10);
	// Of the first step's warm-up the history has nothing.
	const lost = (await chartSays(page, 'failures')).since - before.since;
	holds(lost >= 0 && lost <= 6, `${lost} s of the curve's beginning are missing`);
	await until(async () => (await columnsDrawn(page, 'evidence', '--gate-1')) > 100, 'the evidence', 10);
});

await test('nothing went wrong in the page, which asked nobody but the daemon', async () => {
	eq(complaints.join(' | '), '', 'complaints');
	const others = requests.filter((request) => !request.startsWith(url));
	if (others.length)
		fail(`it asked ${others[0]}`);
});

await browser.close();
process.exit(exitCode());
