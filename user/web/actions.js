// SPDX-License-Identifier: Apache-2.0
// Promote, pause, resume, roll back: asked once more before they are done. What changes something takes a token, which is
// asked for when the daemon wants it, and kept for this tab.
import {byId, setText} from './dom.js';
import {number, plain} from './words.js';

const TOKEN = 'canaryd-token';
const running = ['progressing', 'inconclusive', 'baking'];
const underWay = [...running, 'paused'];

function weightOf(status, step) {
	return `${number(Number(status.plan.steps[step - 1]?.weight), 2)} %`;
}

// By button: the verb, when it may be asked for, and how the question goes. option: what may be asked for with it. once: asked of
// the step that is in force, and of none after it.
const actions = {
	promote: {
		once: true,
		verb: () => 'promote',
		may: (status) => underWay.includes(status.state),
		label: () => 'Promote',
		ask: (status) => ({
			title: `Promote ${status.service}?`,
			text: status.step < status.steps
				? `It goes on to step ${status.step + 1} of ${status.steps} now, with ${weightOf(status, status.step + 1)} of new flows for the canary, without waiting for this step's gates.`
				: 'Its last step ends now, and it has succeeded, without waiting for its gates.',
			option: status.step < status.steps ? {key: 'full', text: `to the last step at once (${weightOf(status, status.steps)})`} : null,
		}),
	},
	pause: {
		verb: (status) => (status.state === 'paused' ? 'resume' : 'pause'),
		may: (status) => underWay.includes(status.state),
		label: (status) => (status.state === 'paused' ? 'Resume' : 'Pause'),
		ask: (status) => (status.state === 'paused'
			? {title: `Resume ${status.service}?`, text: `Step ${status.step} of ${status.steps} goes on where it was.`}
			: {title: `Pause ${status.service}?`, text: `The canary keeps its ${number(status.effective_weight, 2)} % of new flows, and the step's clock stops. A gate that fails still rolls back.`}),
	},
	rollback: {
		verb: () => 'rollback',
		may: (status) => [...underWay, 'succeeded', 'failed'].includes(status.state),
		label: () => 'Roll back',
		danger: true,
		ask: (status) => ({
			title: `Roll back ${status.service}?`,
			text: `New flows go to stable from now on: the canary's weight becomes 0 % (it is ${number(status.effective_weight, 2)} %). Connections that are open stay where they are.`,
			option: {key: 'reset', text: 'reset the connections that the canary has'},
		}),
	},
};

const asked = new WeakMap(); // by dialog: how to end the question that it asked last

// Resolves to whether "yes" was chosen; `act` may fail, with a sentence, and then the dialog stays.
function dialogue(dialog, yes, no, problem, act) {
	// One that was left by Escape, and has not been told so yet: "yes" must not be an answer to that as well.
	asked.get(dialog)?.(false);
	return new Promise((resolve) => {
		const controller = new AbortController(), {signal} = controller;
		const end = (result) => {
			controller.abort();
			if (dialog.open)
				dialog.close();
			resolve(result);
		};
		asked.set(dialog, end);
		setText(problem, '');
		yes.disabled = false;
		no.addEventListener('click', () => end(false), {signal});
		// Escape. The event comes late, and may be of a question that was closed before this one was asked.
		dialog.addEventListener('close', () => dialog.open || end(false), {signal});
		yes.addEventListener('click', async () => {
			yes.disabled = true;
			const failure = await act();
			if (signal.aborted)
				return;
			yes.disabled = false;
			setText(problem, failure ?? '');
			if (!failure)
				end(true);
		}, {signal});
		dialog.showModal();
	});
}

function askToken(rejected) {
	const input = byId('token');
	input.value = '';
	const done = dialogue(byId('ask-token'), byId('token-yes'), byId('token-no'), byId('token-problem'), async () => {
		if (!input.value.trim())
			return 'The token is empty.';
		sessionStorage.setItem(TOKEN, input.value.trim());
		return null;
	});
	if (rejected)
		setText(byId('token-problem'), 'canaryd does not take that token.');
	input.focus();
	return done;
}

async function post(path, body) {
	const headers = {'Content-Type': 'application/json'}, token = sessionStorage.getItem(TOKEN);
	if (token)
		headers.Authorization = `Bearer ${token}`;
	const response = await fetch(path, {method: 'POST', headers, body: JSON.stringify(body)});
	const answer = await response.json().catch(() => ({}));
	return {status: response.status, answer, hadToken: Boolean(token)};
}

// null, or why it was not done.
async function request(service, verb, body, done) {
	const path = `/v1/services/${encodeURIComponent(service)}/rollout/${verb}`;
	try {
		for (;;) {
			const {status, answer, hadToken} = await post(path, body);
			if (status === 200) {
				done(answer);
				return null;
			}
			if (status !== 401 && status !== 403)
				return answer.error ?? `canaryd answers ${status}`;
			sessionStorage.removeItem(TOKEN);
			if (!(await askToken(hadToken)))
				return answer.error ?? 'canaryd wants a token for this.';
		}
	} catch {
		return `canaryd cannot be reached.${verb === 'rollback' ? ` On the balancer, canaryctl rollout rollback ${service} does it without.` : ''}`;
	}
}

function confirm(question, label, danger, act) {
	const option = byId('confirm-option'), yes = byId('confirm-yes');
	setText(byId('confirm-title'), question.title);
	setText(byId('confirm-text'), question.text);
	setText(byId('confirm-option-text'), question.option?.text ?? '');
	byId('confirm-option-label').hidden = !question.option;
	option.checked = false;
	setText(yes, label);
	yes.className = danger ? 'danger' : 'primary';
	return dialogue(byId('confirm'), yes, byId('confirm-no'), byId('confirm-problem'),
		() => act(question.option && option.checked ? {[question.option.key]: true} : {}));
}

export class Actions {
	constructor(done) {
		this.status = null;
		// Nothing is sent by the form itself: its button does what is to be done, also where it is pressed by Enter.
		byId('token-form').addEventListener('submit', (event) => event.preventDefault());
		for (const [id, action] of Object.entries(actions))
			byId(id).addEventListener('click', () => {
				const {status} = this;
				confirm(action.ask(status), action.label(status), action.danger, (body) => {
					if (action.once && this.status.transitions !== status.transitions)
						return 'The rollout has gone on since this was asked: cancel, and look again.';
					return request(status.service, action.verb(status), body, done);
				});
			});
	}

	show(status) {
		this.status = status;
		for (const [id, action] of Object.entries(actions)) {
			const button = byId(id);
			button.disabled = !action.may(status);
			setText(button, action.label(status));
			button.title = button.disabled ? `Not while the rollout is ${plain(status.state)}` : '';
		}
	}
}
