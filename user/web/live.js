// SPDX-License-Identifier: Apache-2.0
// The daemon's stream of one service (server-sent events), which is begun anew whenever it ends.

const events = ['services', 'status', 'health', 'backends', 'entries', 'events', 'point'];
const AGAIN_MS = 3000;
const SILENT_MS = 10000; // a point comes every second: a connection that says nothing is dead

export class Live {
	// handlers: by event, what to do with its data; `link` is told "live", "connecting" or "lost"; `begun` each beginning; `refused`
	// that there is a daemon, and no stream of this service.
	constructor(handlers) {
		this.handlers = handlers;
		setInterval(() => this.watch(), 1000);
	}

	follow(service) {
		this.service = service;
		this.begin();
	}

	begin() {
		const query = this.service ? `?service=${encodeURIComponent(this.service)}` : '';
		clearTimeout(this.timer);
		this.source?.close();
		this.heard = Date.now();
		const source = this.source = new EventSource(`/v1/stream${query}`);
		source.addEventListener('open', () => {
			this.heard = Date.now();
			this.handlers.link('live');
			this.handlers.begun();
		});
		source.addEventListener('error', () => this.again());
		for (const name of events)
			source.addEventListener(name, (event) => {
				this.heard = Date.now();
				this.handlers[name](JSON.parse(event.data));
			});
	}

	again() {
		const refused = this.source.readyState === EventSource.CLOSED;
		this.source.close();
		if (refused)
			this.handlers.refused(this.service);
		else
			this.handlers.link('lost');
		clearTimeout(this.timer);
		this.timer = setTimeout(() => this.begin(), AGAIN_MS);
	}

	watch() {
		if (this.source?.readyState === EventSource.OPEN && Date.now() - this.heard > SILENT_MS)
			this.again();
	}
}
